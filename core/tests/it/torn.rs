//! Rules about what a disk gives back torn.

use neap_core::{
    authority::{Admission, Output, PageSize},
    datastore::Options,
    id::{ReplicaId, Seq, Turn},
    mutation::Condition,
    record::Digest,
    replica::{OpKind, Phase, Reconnect, Replica},
    wire::{self, Down, RowRef},
};

use super::spec::{NOW, authority, carry, join, moment, replica, set};

/// [OU5] Stored mutations that are torn or missing are settled without effect, and counted; what stands
/// before and behind them is delivered under its names, also where they had arrived and where nobody
/// knows any more what was settled.
#[test]
fn ou5_a_torn_outbox() {
    for (arrived, account) in [(0, true), (2, true), (3, true), (0, false), (2, false)] {
        let mut authority = authority();
        let mut before = replica(1);
        join(&mut authority, 1, &mut before, NOW);
        let stored = ["a", "b", "c", "d"].map(|key| {
            set(&mut before, key);
            before.take_block().unwrap_or_else(|| panic!("{key} is not stored"))
        });
        let mut pushed = replica(1);
        for (first, _, block) in &stored[..arrived] {
            assert_eq!(pushed.restore_block(*first, block), Ok(()));
        }
        pushed.restored();
        join(&mut authority, 2, &mut pushed, NOW);
        carry(&mut authority, &mut [(2, &mut pushed)], NOW);
        authority.disconnect(2, NOW);

        let mut after = replica(1);
        if account {
            assert_eq!(after.restore_account(&before.account()), Ok(()));
        } else {
            after.restore_without_account(Turn(1));
        }
        assert_eq!(after.restore_block(Turn(1), &stored[0].2), Ok(()));
        assert!(after.restore_block(Turn(4), &stored[3].2).is_err());
        assert_eq!(after.restore_gap(Turn(u64::MAX)), 1, "no outbox is that long");
        assert_eq!((after.restore_gap(Turn(3)), after.restore_gap(Turn(2))), (2, 0));
        assert_eq!(after.restore_block(Turn(4), &stored[3].2), Ok(()));
        after.restored();
        assert_eq!(after.pending(), 4);
        join(&mut authority, 3, &mut after, NOW);
        carry(&mut authority, &mut [(3, &mut after)], NOW);
        let keys: Vec<_> = after.keys("c").iter().map(ToString::to_string).collect();
        let wanted: &[&str] = match arrived {
            0 => &["a", "d"],
            2 => &["a", "b", "d"],
            _ => &["a", "b", "c", "d"],
        };
        assert_eq!(
            (after.pending(), keys),
            (0, wanted.iter().map(ToString::to_string).collect()),
            "{arrived} {account}"
        );
        assert_eq!(after.seq(), Seq(wanted.len() as u64));
    }
}

/// [OU1] What of a torn block can be read is on the disk, and is not put at risk by being written again.
#[test]
fn ou1_a_torn_block_is_left_as_it_is() {
    let mut before = replica(1);
    for key in ["a", "b"] {
        set(&mut before, key);
    }
    let Some((first, _, block)) = before.take_block() else { panic!("nothing to store") };
    let mut after = replica(1);
    assert!(after.restore_block(first, &block[..block.len() - 1]).is_err());
    after.restored();
    assert_eq!((after.minted(), after.take_block()), (Turn(1), None));
    assert_eq!(set(&mut after, "c"), Turn(2));
    assert_eq!(after.take_block().map(|(first, last, _)| (first, last)), Some((Turn(2), Turn(2))));
}

/// [RS1] A log that was kept while pages came holds what came between them as well: what others show, and
/// news that was passed over. It is read back all the same.
#[test]
fn rs1_what_came_between_pages() {
    let mut authority = authority();
    let (mut writer, mut reader) = (replica(1), replica(2));
    set(&mut writer, "a");
    join(&mut authority, 1, &mut writer, NOW);
    join(&mut authority, 2, &mut reader, NOW);
    let info = reader.info().unwrap_or_default();
    let pages: Vec<_> = (0..reader.page_count()).map(|page| reader.page(page)).collect();

    let mut log = Vec::new();
    for (step, key) in ["b", "c", "d", "e"].into_iter().enumerate() {
        let now = NOW + 1_000 * step as u64;
        set(&mut writer, key);
        if step == 2 {
            writer.show(Some("1"));
        }
        // In the end the reader asks for the page.
        let (session, one) = if step == 3 { (2, &mut reader) } else { (1, &mut writer) };
        while let Some(frame) = one.take_frame() {
            assert_eq!(authority.receive(session, &frame, moment(now)), Ok(()));
        }
        for output in authority.commit().unwrap_or_default() {
            let Output::Send { to, frame } = output else { continue };
            // The first delta is lost; those that follow are of no use until a page has come.
            if to.contains(&2) && step > 0 {
                if reader.phase() == Phase::CatchingUp {
                    log.push(frame.clone());
                }
                assert_eq!(reader.received(&frame, now), Ok(()));
            }
            if to.contains(&1) {
                assert_eq!(writer.received(&frame, now), Ok(()));
            }
        }
    }
    assert_eq!(reader.phase(), Phase::Live);
    let kinds = log.iter().map(|frame| wire::decode_down(frame).map(|(down, _)| down));
    let kinds: Vec<_> = kinds.flatten().collect();
    assert!(matches!(
        kinds.as_slice(),
        [Down::Delta(_), Down::Presence(_), Down::Page(_)]
            | [Down::Presence(_), Down::Delta(_), Down::Page(_)]
    ));
    let mut later = replica(2);
    assert_eq!(later.restore_info(&info), Ok(()));
    assert!(pages.into_iter().all(|page| later.restore_page(page).is_ok()));
    let before = (later.seq(), later.digest());
    for frame in &log {
        // Torn anywhere it changes nothing.
        for length in 0..frame.len() {
            assert!(later.restore_frame(&frame[..length]).is_err());
        }
        assert!(later.restore_frame(&[&frame[..], &[0]].concat()).is_err());
    }
    assert_eq!((later.seq(), later.digest()), before);
    assert!(log.iter().all(|frame| later.restore_frame(frame).is_ok()));
    later.restored();
    assert_eq!((later.seq(), later.digest()), (reader.seq(), reader.digest()));
}

/// [RE10] The next page is asked for before the rows of one are read; torn ones are noticed with it, and all pages are
/// fetched anew.
#[test]
fn re10_a_torn_page_in_between() {
    let mut authority = authority();
    authority.set_page_size(PageSize { rows: 1, ..PageSize::default() });
    let (mut writer, mut reader) = (replica(1), replica(2));
    for key in ["a", "b", "c", "d"] {
        set(&mut writer, key);
    }
    join(&mut authority, 1, &mut writer, NOW);
    authority.connect(2, Admission::OPEN, NOW);
    reader.connected(NOW);
    let mut pages = Vec::new();
    let heard = loop {
        reader.info_saved();
        let said = std::iter::from_fn(|| reader.take_frame()).last().unwrap_or_default();
        assert_eq!(authority.receive(2, &said, moment(NOW)), Ok(()));
        let mut heard = Ok(());
        for output in authority.commit().unwrap_or_default() {
            let Output::Send { frame, .. } = output else { continue };
            let mut frame = frame.to_vec();
            if let Ok((Down::Page(page), _)) = wire::decode_down(&frame) {
                pages.push(page.cursor.after);
                if page.cursor.after == Seq(2) {
                    frame.push(0);
                }
            }
            heard = heard.and(reader.received(&frame, NOW));
        }
        if heard.is_err() || reader.phase() == Phase::Live {
            break heard;
        }
    };
    assert_eq!(heard, Err(Reconnect::BadFrame));
    assert_eq!(pages, [Seq(1), Seq(2), Seq(3)], "torn is the second, and the third is there");
    assert_eq!((reader.seq(), reader.size("c")), (Seq::ZERO, 0));
    reader.closed(1006);
    authority.disconnect(2, NOW);
    assert_eq!(join(&mut authority, 3, &mut reader, NOW), []);
    assert_eq!((reader.phase(), reader.digest()), (Phase::Live, writer.digest()));
}

/// [RS3] Pages bring what they add to the digest and the hashes of their keys, also those that another tab has stored under a
/// seed of its own; of a key that stands in two pages, as one that moved between their writing does, only the newer
/// record counts. A torn or misplaced one is noticed, and changes nothing.
#[test]
fn rs3_pages_bring_what_is_known_of_them() {
    let mut authority = authority();
    let seeded = |seed| {
        let mut one = Replica::new(
            ReplicaId([seed; 16]),
            ReplicaId([99; 16]),
            seed.into(),
            Options::default(),
        );
        one.set_page_records(2);
        one
    };
    let pages = |one: &mut Replica| (0..2).map(|page| one.page(page)).collect::<Vec<_>>();
    let mut before = seeded(1);
    for (collection, key) in [("c", "a"), ("d", "a"), ("c", "b"), ("c", "d")] {
        let turn = before.mutate(
            OpKind::Set,
            collection,
            key,
            &format!(r#"{{"id":"{key}"}}"#),
            Condition::None,
        );
        before.durable(turn.unwrap_or_default());
    }
    join(&mut authority, 1, &mut before, NOW);
    let old = pages(&mut before);
    // Each goes over into the other page.
    for key in ["a", "b"] {
        let turn = before.mutate(OpKind::Delete, "c", key, "", Condition::None).unwrap_or_default();
        before.durable(turn);
    }
    carry(&mut authority, &mut [(1, &mut before)], NOW);
    for key in ["a", "b"] {
        set(&mut before, key);
        carry(&mut authority, &mut [(1, &mut before)], NOW);
    }
    let new = pages(&mut before);
    // Another tab has heard of them in another order, and numbers its collections by that.
    let mut other = seeded(2);
    join(&mut authority, 2, &mut other, NOW);
    carry(&mut authority, &mut [(2, &mut other)], NOW);
    let others = pages(&mut other);
    assert_eq!(before.digest(), other.digest());

    let info = before.info().unwrap_or_default();
    let back = |pages: [&Vec<u8>; 2]| {
        let mut after = seeded(3);
        assert_eq!(after.restore_info(&info), Ok(()));
        for page in pages {
            assert_eq!(after.restore_page(page.clone()), Ok(()));
        }
        after.restored();
        // What it tells of itself is what can be read of it.
        let mut summed = Digest::EMPTY;
        for collection in ["c", "d"] {
            let keys = after.keys(collection);
            assert_eq!(after.size(collection), keys.len());
            for key in keys {
                let seq = after.meta(collection, &key).seq.unwrap_or_default();
                let data = after.get(collection, &key).unwrap_or_default().as_bytes();
                summed.add(Digest::of(collection, &key, seq, data));
            }
        }
        assert_eq!(after.digest(), summed);
        after
    };
    for pages in [[&new[0], &new[1]], [&others[0], &others[1]]] {
        let mut after = back(pages);
        assert_eq!((after.digest(), after.dirty_page()), (before.digest(), None));
        // It goes on as it was.
        join(&mut authority, 3, &mut after, NOW);
        assert_eq!(after.digest(), before.digest());
        authority.disconnect(3, NOW);
    }
    for pages in
        [[&old[0], &new[1]], [&new[0], &old[1]], [&others[0], &new[1]], [&new[0], &others[1]]]
    {
        back(pages);
    }
    for at in 0..new[0].len() {
        let mut torn = new[0].clone();
        torn[at] ^= 1;
        let mut after = seeded(3);
        assert!(after.restore_page(torn).is_err());
        assert!(after.restore_page(new[0][..at].into()).is_err());
        assert!(after.restore_page(new[1].clone()).is_err(), "another page's place");
        assert_eq!((after.page_count(), after.size("c"), after.digest()), (0, 0, Digest::EMPTY));
    }
}

/// [RS3] What older packages have stored as rows is read as well, and stored anew.
#[test]
fn rs3_rows_of_older_packages() {
    let row = |key, seq, data| RowRef { collection: "c", key, seq: Seq(seq), data: Some(data) };
    let rows = |rows: &[RowRef<'_>]| wire::encode_changes(rows.iter().copied());
    let mut after = replica(1);
    let older = rows(&[row("a", 1, r#"{"id":"a"}"#), row("b", 2, r#"{"id":"b"}"#)]);
    assert_eq!(after.restore_rows(&older), Ok(()));
    assert_eq!(after.restore_rows(&rows(&[row("a", 3, r#"{"id":"a","n":1}"#)])), Ok(()));
    assert_eq!(after.restore_rows(&older), Ok(()), "an older row of a key changes nothing");
    assert!(after.restore_rows(&older[..older.len() - 1]).is_err());
    after.restored();
    assert_eq!(after.get("c", "a"), Some(r#"{"id":"a","n":1}"#));
    assert_eq!((after.size("c"), after.dirty_page()), (2, Some(0)));
}

/// [RS2] A checksum over bytes, the place where they are stored and whose they are tells the torn, the
/// misplaced and the foreign.
#[test]
fn rs2_checksums() {
    let own = |name, bytes: &[u8], first| replica(name).own_checksum(bytes, Turn(first), Turn(9));
    let sum = own(1, b"bytes", 5);
    for other in [own(1, b"byte", 5), own(1, b"bytes", 6), own(2, b"bytes", 5)] {
        assert_ne!(sum, other);
    }
    assert_eq!(sum, own(1, b"bytes", 5));
    assert_eq!(
        wire::checksum(b"bytes", [1, 2], &[]),
        173_426_111,
        "a stored format keeps its checksums"
    );
}
