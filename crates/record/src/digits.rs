//! Whole numbers from digits, fast: nearly all that the files hold.

/// The numbers of a line of so many bytes that are separated by commas, if they are as many and of
/// at most 16 digits each; eight digits at a time. What follows the line is looked at, and ignored.
pub(crate) fn whole_numbers<const N: usize>(text: &[u8], length: usize) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    let mut at = 0;
    for (index, number) in numbers.iter_mut().enumerate() {
        let (mut value, mut digits) = eight(text.get(at..at + 8)?);
        at += digits;
        if digits == 8 {
            let (more, further) = eight(text.get(at..at + 8)?);
            value = value * TENS[further] + more;
            digits += further;
            at += further;
        }
        let ends_well = if index + 1 == N {
            at == length
        } else {
            text.get(at) == Some(&b',')
        };
        if digits == 0 || !ends_well {
            return None;
        }
        *number = value;
        at += 1;
    }
    Some(numbers)
}

const TENS: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

/// The number that the leading digits of eight bytes make, and how many they are: all eight at
/// once in one word (Lemire, "Quickly parsing eight digits", 2022; the digits are found by the
/// carries into each byte's high bit).
#[inline]
fn eight(bytes: &[u8]) -> (u64, usize) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The caller's slice has eight bytes.
    let word = bytes.try_into().map_or(0, u64::from_le_bytes);
    let digits = word ^ (ONES * 0x30);
    let foreign = (((digits & (ONES * 0x7f)) + ONES * 0x76) | digits) & (ONES * 0x80);
    let count = foreign.trailing_zeros() as usize / 8;
    if count == 0 {
        return (0, 0);
    }
    // The digits to the end of the word, zeros before them.
    let digits = digits << (64 - 8 * count);
    let pairs = digits.wrapping_mul(10) + (digits >> 8);
    let first = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let second = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    (first.wrapping_add(second) >> 32, count)
}

/// What digits alone make, if it fits.
pub(crate) fn whole_number(digits: &[u8]) -> Option<u64> {
    /// So few cannot overflow, and are nearly all.
    const SHORT: usize = 19;
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for byte in digits {
        let digit = u64::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        value = if digits.len() <= SHORT {
            value * 10 + digit
        } else {
            value.checked_mul(10)?.checked_add(digit)?
        };
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_eight_digits_at_a_time_or_not_at_all() {
        let read = |line: &str| {
            let mut text = line.as_bytes().to_vec();
            text.extend(b"\n1234567");
            whole_numbers::<2>(&text, line.len())
        };
        assert_eq!(read("0,7"), Some([0, 7]));
        assert_eq!(read("12345678,90"), Some([12_345_678, 90]));
        assert_eq!(
            read("1234567890123,9999999999999999"),
            Some([1_234_567_890_123, 9_999_999_999_999_999])
        );
        for other in [
            "",
            "1",
            "1,",
            ",1",
            "1,2,3",
            "-1,2",
            "1,2 ",
            "1,12345678901234567",
            "1,\u{fa}",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn digits_alone_make_a_number() {
        assert_eq!(whole_number(b"18446744073709551615"), Some(u64::MAX));
        for other in ["", "-1", "+1", "1.", "18446744073709551616"] {
            assert_eq!(whole_number(other.as_bytes()), None, "{other}");
        }
    }
}
