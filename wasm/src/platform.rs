//! What a program without `std` brings itself.

use core::{arch::wasm32, panic::PanicInfo};

use talc::wasm::{WasmDynamicTalc, new_wasm_dynamic_allocator};

#[global_allocator]
static ALLOCATOR: WasmDynamicTalc = new_wasm_dynamic_allocator();

/// A panic is a defect, and nobody in a browser reads its text: it ends in the engine's own error.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    wasm32::unreachable()
}
