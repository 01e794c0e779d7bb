//! The sites: code with real ones, which is never executed.

use core::hint::black_box;

/// Sites that the image shall have.
pub const COUNT: usize = match number(option_env!("VMI_SITES")) {
    None => FEW,
    Some(count @ (FEW | MANY)) => count,
    Some(_) => panic!("VMI_SITES is neither 10 nor 10000"),
};

/// Sites of the library, in `init` and `teardown`: how many depends on what the compiler inlines. Whoever builds an image
/// with [`FEW`] of them, and so with no others, can count them.
const OTHERS: usize = match number(option_env!("VMI_SITES_OTHERS")) {
    None => FEW,
    Some(count) => count,
};

const FEW: usize = 10;
const MANY: usize = 10_000;

const fn number(digits: Option<&str>) -> Option<usize> {
    match digits {
        None => None,
        Some(digits) => match usize::from_str_radix(digits, 10) {
            Ok(number) => Some(number),
            Err(_) => panic!("not a number"),
        },
    }
}

/// Keeps the sites in the image, whatever the compiler thinks of them.
pub fn keep_sites() {
    if black_box(false) {
        few();
        if COUNT == MANY {
            more();
        }
    }
}

/// As many sites as there are [`FEW`] with those of the library.
fn few() {
    macro_rules! up_to {
        ($($count:literal $site:expr;)*) => { $( if $count <= FEW - OTHERS { $site; } )* };
    }
    up_to! {
        1 vmi::time::now_ns();
        2 vmi::io::delay();
        3 vmi::irq::disable();
        4 vmi::time::now_ns();
        5 vmi::io::delay();
        6 vmi::cpu::relax();
        7 vmi::cpu::read_cr2();
        8 vmi::time::now_ns();
        9 vmi::io::delay();
        10 vmi::cpu::read_cr3();
    }
}

/// 9990 sites.
fn more() {
    part::<0>();
    part::<1>();
    part::<2>();
    part::<3>();
    part::<4>();
    part::<5>();
    part::<6>();
    part::<7>();
    part::<8>();
}

/// 1110 sites: a compiler takes far longer for one function with all of them.
#[inline(never)]
fn part<const NUMBER: usize>() {
    // Nine functions that do the same would be made one.
    black_box(NUMBER);
    ten! { ten! { ten_sites! {} } }
    ten! { ten_sites! {} }
    ten_sites! {}
}

/// Ten sites: KVM edits four into calls and three into nothing, and leaves three.
macro_rules! ten_sites {
    () => {
        vmi::time::now_ns();
        vmi::io::delay();
        vmi::irq::disable();
        vmi::time::now_ns();
        vmi::io::delay();
        vmi::cpu::relax();
        vmi::time::now_ns();
        vmi::io::delay();
        vmi::cpu::read_cr2();
        vmi::time::now_ns();
    };
}
use ten_sites;

/// Ten times the same.
macro_rules! ten {
    ($($it:tt)*) => {
        $($it)* $($it)* $($it)* $($it)* $($it)* $($it)* $($it)* $($it)* $($it)* $($it)*
    };
}
use ten;
