//! Additions that are atomic with respect to other CPUs and to other programs on this one.

use core::arch::asm;

/// Adds `value` atomically. `core::sync::atomic` offers no additions for this target, which has no compare-and-swap.
///
/// # Safety
/// `number` must point to a live number in a map.
#[inline(always)]
pub unsafe fn atomic_add(number: *mut u64, value: u64) {
    // SAFETY: the caller guarantees it.
    unsafe { asm!("lock *(u64 *)({number} + 0) += {value}", number = in(reg) number, value = in(reg) value) };
}
