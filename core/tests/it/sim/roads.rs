//! Over roads that take time: each way carries so many bytes a second, far, and connections die. What the simulator's
//! steps cannot show, a replica that is busy for ever and gets nowhere, shows here.

use neap_core::{
    authority::{Admission, Authority, Moment, Output, SessionId, Settings},
    id::Epoch,
    replica::{Event, Phase},
    storage::MemoryStorage,
    wire::Pong,
};

use super::{Check, Report, fail, random::Random};

mod way;

use way::{Death, SEND_BUFFER_BYTES, STALE_BYTES, State, Traveller, Word};

/// When the first sets out, in milliseconds since 1970.
const NOW: u64 = 1_700_000_000_000;

/// As in the package, in milliseconds.
const PING_MS: u64 = 25_000;
const CONNECT_MS: u64 = 15_000;
const RETRY_MS: u64 = 500;
const RETRY_CAP_MS: u64 = 30_000;
/// How many times longer it may take than the bytes would and 20 s.
const SLOWNESS_MAX: u64 = 8;

/// What others write while somebody is on the way.
#[derive(Clone, Copy, Debug)]
struct News {
    every_ms: u64,
    bytes: usize,
    until: u64,
    written: u64,
}

/// Two replicas: the first is near, and writes what the other is told.
struct Country {
    random: Random,
    now: u64,
    authority: Authority<MemoryStorage>,
    all: Vec<Traveller>,
    last: SessionId,
    news: News,
    /// How many items there are in the pool.
    items: usize,
}

impl Country {
    fn new(random: Random) -> Self {
        let storage = Authority::load(MemoryStorage::new(), Settings::default());
        let authority = storage.unwrap_or_else(|trouble| panic!("{trouble:?}"));
        let all = vec![Traveller::new(2, [100_000_000; 2], 1, Death::Never)];
        let news = News { every_ms: u64::MAX, bytes: 0, until: 0, written: 0 };
        Country { random, now: NOW, authority, all, last: 0, news, items: 0 }
    }

    /// Lets time pass until everything is everywhere, if it is by then.
    fn live(&mut self, until: u64) -> bool {
        while !self.is_done() {
            if self.now >= until {
                return false;
            }
            self.step();
        }
        true
    }

    /// Lets time pass until the next thing happens, and all that happens then.
    fn step(&mut self) {
        let news = if self.now < self.news.until {
            self.now.next_multiple_of(self.news.every_ms)
        } else {
            u64::MAX
        };
        let next = self.all.iter().map(Traveller::next).fold(news, u64::min);
        self.now = next.max(self.now + 1);
        if self.now >= news {
            self.news.written += 1;
            let key = format!("o{}", self.news.written % 50);
            self.all[0].set(&key, self.news.bytes);
        }
        for place in 0..self.all.len() {
            while let Some((session, word)) = self.all[place].up.take(self.now) {
                self.arrives(place, session, word);
            }
            while let Some((session, word)) = self.all[place].down.take(self.now) {
                self.comes(place, session, word);
            }
            self.look(place);
        }
    }

    /// Something reaches the relay.
    fn arrives(&mut self, place: usize, session: SessionId, word: Word) {
        let now = self.now;
        let traveller = &mut self.all[place];
        if traveller.is_in_a_hole(now) {
            return;
        }
        match word {
            Word::Knock => {
                self.authority.connect(session, Admission::OPEN, now);
                traveller.down.put(now, session, Word::Come);
            }
            Word::Frame(frame) => {
                traveller.carried += frame.len() as u64;
                assert_eq!(
                    self.authority.receive(session, &frame, Moment { now, dice: Epoch([7; 8]) }),
                    Ok(())
                );
            }
            Word::Ping => {
                let pong = self.authority.alive(now).map(|meta| Pong::of(meta).to_text());
                traveller.down.put(now, session, Word::Pong(pong.unwrap_or_default()));
            }
            Word::Gone => self.authority.disconnect(session, now),
            Word::Come | Word::Pong(_) => {}
        }
        for output in self.authority.commit().unwrap_or_default() {
            match output {
                Output::Send { to, frame } => {
                    for other in &mut self.all {
                        if to.contains(&other.session) && other.state == State::Open {
                            other.down.put(now, other.session, Word::Frame(frame.clone()));
                        }
                    }
                }
                Output::Close { .. } | Output::Remember { .. } => {}
            }
        }
    }

    /// Something reaches the page.
    fn comes(&mut self, place: usize, session: SessionId, word: Word) {
        let now = self.now;
        let traveller = &mut self.all[place];
        if session != traveller.session || traveller.is_in_a_hole(now) {
            return;
        }
        traveller.pong_due = None;
        let result = match word {
            Word::Come => {
                traveller.state = State::Open;
                traveller.ping_at = now + PING_MS;
                traveller.replica.connected(now);
                Ok(())
            }
            Word::Frame(frame) => {
                traveller.carried += frame.len() as u64;
                traveller.replica.received(&frame, now)
            }
            Word::Pong(text) => traveller.replica.pong(&text, now),
            Word::Knock | Word::Ping | Word::Gone => Ok(()),
        };
        if result.is_err() {
            self.lose(place);
        }
    }

    /// What the page does by itself.
    fn look(&mut self, place: usize) {
        let now = self.now;
        let traveller = &mut self.all[place];
        let is_dead = match traveller.death {
            Death::AfterBytes(bytes) => traveller.carried >= bytes,
            Death::AfterMs(ms) => now >= traveller.began + ms,
            Death::Never | Death::Silent(_) => false,
        };
        match traveller.state {
            State::Waits if now >= traveller.due => {
                self.last += 1;
                traveller.session = self.last;
                traveller.state = State::Connects;
                traveller.began = now;
                traveller.carried = 0;
                traveller.connections += 1;
                traveller.due = now + CONNECT_MS;
                traveller.up.put(now, self.last, Word::Knock);
            }
            State::Connects if now >= traveller.due => self.lose(place),
            State::Open if is_dead || traveller.pong_due.is_some_and(|due| now >= due) => {
                self.lose(place)
            }
            State::Open => {
                if traveller.replica.deadline().is_some_and(|deadline| now >= deadline)
                    && traveller.replica.tick(now).is_err()
                {
                    return self.lose(place);
                }
                if now >= traveller.ping_at {
                    traveller.ping_at = now + PING_MS;
                    let due = now + traveller.replica.patience();
                    if traveller.pong_due.is_none_or(|before| due < before) {
                        traveller.pong_due = Some(due);
                        traveller.up.put(now, traveller.session, Word::Ping);
                    }
                }
                self.send(place);
            }
            State::Waits | State::Connects => {}
        }
    }

    fn send(&mut self, place: usize) {
        let now = self.now;
        let Traveller { replica, up, session, retries, .. } = &mut self.all[place];
        replica.info_saved();
        replica.saved(replica.settled());
        replica.pool_news_saved(replica.pool_news());
        while let Some(event) = replica.take_events() {
            if matches!(
                event,
                Event::Turned | Event::Live | Event::Accepted { .. } | Event::Refused { .. }
            ) {
                *retries = 0;
            }
        }
        while up.waiting(now) < SEND_BUFFER_BYTES {
            let Some(frame) = replica.take_frame() else { break };
            up.put(now, *session, Word::Frame(frame.into()));
        }
    }

    /// The page's connection is over.
    fn lose(&mut self, place: usize) {
        let now = self.now;
        let traveller = &mut self.all[place];
        let hole = traveller.is_in_a_hole(now);
        for way in [&mut traveller.up, &mut traveller.down] {
            way.cut(now);
        }
        traveller.replica.closed(1006);
        traveller.pong_due = None;
        traveller.state = State::Waits;
        let most = RETRY_CAP_MS.min(RETRY_MS << traveller.retries.min(16));
        traveller.retries += 1;
        traveller.due = now + self.random.below(usize::try_from(most).unwrap_or(1)) as u64;
        if !hole {
            traveller.up.put(now, traveller.session, Word::Gone);
        }
    }

    fn is_done(&self) -> bool {
        let digest = self.authority.alive(self.now).map(|meta| meta.totals.digest);
        let is_there = |one: &Traveller| {
            let Traveller { replica, .. } = one;
            replica.phase() == Phase::Live
                && replica.pending() == 0
                && Some(replica.digest()) == digest
                && (self.items == 0 || one.converged() == Some(self.items))
        };
        self.now >= self.news.until && self.all.iter().all(is_there)
    }
}

/// What is to be carried: so many records, or items of a pool, of so many bytes.
#[derive(Clone, Copy, Debug)]
struct Load {
    records: u64,
    bytes: u64,
    are_items: bool,
}

impl Load {
    /// So much as somebody would wait for over a road of this rate.
    fn any(random: &mut Random, bytes_per_s: u64) -> Self {
        let all = (bytes_per_s * 60).min(1_000_000);
        let bytes = random.pick(&[20, 200, 2_000, 20_000, 100_000]).min(all / 2);
        let records = (all / (bytes + 60)).clamp(1, 3_000);
        Load { records, bytes, are_items: random.once_in(3) }
    }

    fn give(self, traveller: &mut Traveller, name: char) {
        for n in 0..self.records {
            let (key, bytes) = (format!("{name}{n}"), usize::try_from(self.bytes).unwrap_or(0));
            if self.are_items {
                traveller.add(&key, bytes);
            } else {
                traveller.set(&key, bytes);
            }
        }
    }

    fn items(self) -> usize {
        if self.are_items { usize::try_from(self.records).unwrap_or(0) } else { 0 }
    }

    const fn all(self) -> u64 {
        self.records * (self.bytes + 60)
    }
}

/// A road by its seed, and how long a replica takes over it to bring what it has and to get what others have.
pub(crate) fn travel(seed: u64, report: &mut Report) -> Check {
    let mut random = Random::new(seed.rotate_left(16));
    let rates = [3_000, 8_000, 20_000, 60_000, 250_000, 2_000_000];
    let ways = [random.pick(&rates), random.pick(&rates)];
    let latency = random.pick(&[5, 50, 300, 900]);
    let [mine, others] = ways.map(|rate| Load::any(&mut random, rate));
    // Each connection lives long enough to carry something.
    let largest = mine.bytes.max(others.bytes) + 1_000;
    let slowest = ways[0].min(ways[1]);
    let ms = 20_000 + latency * 20 + (4 * largest + STALE_BYTES) * 1_000 / slowest;
    let more = |random: &mut Random, most| random.below(most) as u64;
    let death = match random.below(5) {
        0 | 1 => Death::Never,
        2 => Death::AfterBytes(STALE_BYTES + 2 * largest + more(&mut random, 200_000)),
        3 => Death::AfterMs(ms + more(&mut random, 60_000)),
        _ => Death::Silent(ms + more(&mut random, 60_000)),
    };
    let mut country = Country::new(random);
    others.give(&mut country.all[0], 'o');
    if !country.live(NOW + 60_000) {
        return fail("LI3", "even the near one does not get there".into());
    }
    let mut far = Traveller::new(1, ways, latency, death);
    mine.give(&mut far, 'm');
    country.items = mine.items() + others.items();
    let began = country.now;
    far.due = began;
    country.all.push(far);
    // Who writes is told the same as all others.
    let carried = mine.all() * 1_000 / ways[0] + (mine.all() + others.all()) * 1_000 / ways[1];
    if country.random.once_in(2) {
        // A third of what the road can carry.
        let bytes = country.random.pick(&[50, 500, 5_000]);
        let every_ms = (3 * (bytes + 200) * 1_000 / slowest).max(100);
        let bytes = usize::try_from(bytes).unwrap_or(0);
        country.news = News { every_ms, bytes, until: began + carried.min(300_000), written: 0 };
    }
    let news = country.news.until.saturating_sub(began);
    let ideal = carried + news / 3 + 20_000;
    // Each connection that dies of its bytes costs a wait, and four times there and back.
    let lives = match death {
        Death::AfterBytes(bytes) => (2 * mine.all() + others.all()) / bytes,
        Death::Never | Death::AfterMs(_) | Death::Silent(_) => 0,
    };
    let bound = SLOWNESS_MAX * ideal + lives * (RETRY_MS + 8 * latency);
    if !country.live(began + bound) {
        let far = &country.all[1];
        let what = format!(
            "{ways:?} bytes/s, {latency} ms, {mine:?} up, {others:?} down, {death:?}, {:?}: not there after {} s, {} connections, \
             {} pending, at {:?} of {:?}",
            country.news,
            bound / 1_000,
            far.connections,
            far.replica.pending(),
            far.replica.seq(),
            far.replica.head(),
        );
        return fail("LI3", what);
    }
    report.sights.see("road travelled");
    if country.items > 0 {
        report.sights.see("pool over a road");
    }
    if country.all[1].connections > 1 {
        report.sights.see("road travelled in parts");
    }
    if slowest < 10_000 {
        report.sights.see("slow road travelled");
    }
    Ok(())
}
