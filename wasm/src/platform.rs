//! What a program without `std` brings itself.
#![expect(unsafe_code, reason = "an allocator's memory is its own")]

use core::{
    alloc::Layout,
    arch::wasm32,
    panic::PanicInfo,
    ptr::{NonNull, with_exposed_provenance_mut},
};

use talc::{
    base::{Talc, binning::Binning},
    cell::TalcSyncCell,
    source::Source,
    wasm::WasmBinning,
};

#[global_allocator]
static ALLOCATOR: TalcSyncCell<Strides, WasmBinning> =
    TalcSyncCell::new_wasm(Strides { end: None });

/// Lets linear memory grow in strides. Each time engines count the whole memory as newly allocated: where it grows
/// by what is asked for, a hundred thousand pending mutations make them collect garbage without end.
#[derive(Debug)]
struct Strides {
    /// Where the heap ends.
    end: Option<NonNull<u8>>,
}

/// Bytes by which linear memory is counted.
const PAGE: usize = 64 * 1024;

/// A stride is this part of all that is held, and at least so many pages.
const STRIDE: (usize, usize) = (16, 16);

// SAFETY: it allocates nothing, and gives the allocator only what has just been added to linear memory.
unsafe impl Source for Strides {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        // One more for what a heap and a chunk take themselves.
        let needed = (layout.size() + layout.align()) / PAGE + 2;
        let stride = (wasm32::memory_size::<0>() / STRIDE.0).max(STRIDE.1);
        let grow = |pages| {
            Some((wasm32::memory_grow::<0>(pages), pages)).filter(|grown| grown.0 != usize::MAX)
        };
        let (held, pages) = grow(needed.max(stride)).or_else(|| grow(needed)).ok_or(())?;
        let base = with_exposed_provenance_mut::<u8>(held * PAGE);
        talc.source.end = match talc.source.end.filter(|end| end.as_ptr() == base) {
            // SAFETY: what follows on the heap is new.
            Some(end) => Some(unsafe { talc.extend(end, base.wrapping_add(pages * PAGE)) }),
            // SAFETY: all of it is new.
            None => unsafe { talc.claim(base, pages * PAGE) },
        };
        Ok(())
    }
}

/// A panic is a defect, and nobody in a browser reads its text: it ends in the engine's own error.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}
