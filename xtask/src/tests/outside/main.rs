#![no_std]
#![no_main]
use core::{arch::global_asm, fmt::Write, ops::Range};
global_asm!(".set PVH_ENTRY, pvh_start", include_str!("boot.s"));
unsafe extern "C" { static __executable_start: u8; static etext: u8; }
static TINY: Tiny = Tiny([&raw const __executable_start..&raw const etext]);
struct Tiny([Range<*const u8>; 1]);
unsafe impl Sync for Tiny {}
unsafe impl vmi::Text for Tiny {
    fn ranges(&self) -> &[Range<*const u8>] { &self.0 }
    unsafe fn write(&self, place: *mut u8, bytes: &[u8]) { unsafe { place.copy_from(bytes.as_ptr(), bytes.len()) } }
}
unsafe impl vmi::Platform for Tiny { fn physical_address(&self, pointer: *const u8) -> u64 { pointer.addr() as u64 } }
impl Write for Tiny { fn write_str(&mut self, text: &str) -> core::fmt::Result { Ok(text.bytes().for_each(|byte| unsafe { vmi::io::out8(0x3f8, byte) })) } }
#[unsafe(no_mangle)] extern "sysv64" fn kernel_main(_: u64, _: u64) -> ! {
    let report = unsafe { vmi::init(&TINY, &[&vmi_kvm_backend::BACKEND]) }.expect("init");
    writeln!(Tiny([TINY.0[0].clone()]), "{report}\nPASS tiny\nsummary: 1 passed, 0 failed, 0 skipped").unwrap();
    loop { unsafe { vmi::io::out8(0xf4, if vmi::time::now_ns() > 0 { 0x10 } else { 0x11 }) } }
}
#[panic_handler] fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop { vmi::irq::halt() } }
