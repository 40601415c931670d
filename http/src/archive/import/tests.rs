//! An import whose answers come slowly, over a storage that counts what it keeps of them.

use std::{cell::Cell, convert::Infallible, ops::ControlFlow};

use neap_core::{id::Epoch, limits::IMPORT_IDLE_MS, storage::MemoryStorage};

use super::*;
use crate::json::Object;

const NOW: u64 = 1_700_000_000_000;

thread_local! {
    static KEPT: Cell<usize> = const { Cell::new(0) };
}

impl Answers for MemoryStorage {
    fn answer(&self, _: &[u8]) -> Result<Option<(u64, Vec<u8>)>, Infallible> {
        Ok(None)
    }

    fn answers(
        &self,
        _: (u64, &[u8]),
        _: &mut dyn FnMut(u64, Vec<u8>, Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), Infallible> {
        Ok(())
    }

    fn put_answer(&self, _: &[u8], _: u64, _: &[u8], _: u64) -> Result<(), Infallible> {
        KEPT.set(KEPT.get() + 1);
        Ok(())
    }
}

type Machine = Authority<MemoryStorage>;

fn at(now: u64, life: u8) -> Moment {
    Moment { now, dice: Epoch([life; 8]) }
}

fn machine() -> Machine {
    let machine = Authority::load(MemoryStorage::new(), neap_core::authority::Settings::default());
    machine.unwrap_or_else(|trouble| panic!("{trouble:?}"))
}

/// The header of an export of nothing.
fn header() -> Vec<u8> {
    let mut machine = machine();
    assert!(machine.open(&Options::default(), at(NOW, 1)).is_ok());
    let mut exporter = crate::Exporter::new("a".into());
    let Ok(crate::Piece::Last(text)) = exporter.piece(&machine, NOW) else { panic!("no export") };
    text.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default().to_vec()
}

/// As many answers as fill a step.
fn answers() -> Vec<u8> {
    let body = Object::new().text("text", &"x".repeat(800)).end();
    let value = [&[0; 16][..], &200_u16.to_be_bytes(), &body].concat();
    let line = |n: u64| {
        let name = [n.to_be_bytes(), n.to_be_bytes()].concat();
        [line::answer(&name, NOW, &value), b"\n".to_vec()].concat()
    };
    (0..PAGE_BYTES as u64 / 1_000).flat_map(line).collect()
}

/// Runs the step that bytes make at a moment; gives its status.
fn feed(importer: &mut Importer, machine: &mut Machine, bytes: &[u8], now: u64) -> u16 {
    importer.feed(bytes);
    let Some(mut step) = importer.step() else { panic!("no step") };
    let answer = step(machine, at(now, 2));
    assert!(machine.commit().is_ok());
    answer.unwrap_or_else(|trouble| panic!("{trouble:?}")).status()
}

#[test]
fn answers_keep_an_import_alive() {
    let (mut machine, answers) = (machine(), answers());
    let mut importer = Importer::new(&Settings::read(|_| None, |_| {}), "b".into());
    let first = [&header()[..], &answers].concat();
    for (turn, bytes) in (0..3).zip([&first, &answers, &answers]) {
        let now = NOW + turn * (IMPORT_IDLE_MS - 1);
        assert_eq!(feed(&mut importer, &mut machine, bytes, now), 204);
        assert!(machine.is_importing(now + IMPORT_IDLE_MS - 1));
    }
}

#[test]
fn an_import_that_was_given_up_keeps_no_answer() {
    let answers = answers();
    for is_taken in [false, true] {
        let mut machine = machine();
        let mut importer = Importer::new(&Settings::read(|_| None, |_| {}), "b".into());
        let first = [&header()[..], &answers].concat();
        assert_eq!(feed(&mut importer, &mut machine, &first, NOW), 204);
        // As the alarm does with what stands still; and then somebody else may come.
        let later = NOW + IMPORT_IDLE_MS;
        assert!(machine.is_over(later) && machine.destroy().is_ok());
        if is_taken {
            assert!(machine.open(&Options::default(), at(later, 3)).is_ok());
        }
        let kept = KEPT.get();
        assert_eq!(feed(&mut importer, &mut machine, &answers, later), 409);
        assert_eq!(KEPT.get(), kept);
    }
}
