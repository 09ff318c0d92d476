//! eBPF instructions (Documentation/bpf/standardization/instruction-set.rst), as far as the
//! programs here need them.

use std::collections::HashMap;

/// A register. R10 is the frame; calls take R1 to R5, answer in R0, and keep R6 to R9.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R6 = 6,
    R7,
    R8,
    R9,
    R10,
}

/// The width of a load or store.
#[derive(Clone, Copy)]
pub(super) enum Width {
    Byte,
    Word,
    Double,
}

impl Width {
    const fn bits(self) -> u8 {
        match self {
            Width::Word => 0x00,
            Width::Byte => 0x10,
            Width::Double => 0x18,
        }
    }
}

/// An arithmetic operation on 64 bits.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Op {
    Add = 0x00,
    Sub = 0x10,
    Or = 0x40,
    And = 0x50,
    Lsh = 0x60,
    Rsh = 0x70,
    Mov = 0xb0,
}

/// When to jump.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum When {
    Always = 0x00,
    Equal = 0x10,
    NotEqual = 0x50,
    Less = 0xa0,
}

/// Helpers of the kernel that any licence may call (include/uapi/linux/bpf.h).
#[derive(Clone, Copy)]
#[repr(i32)]
pub(super) enum Helper {
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    KtimeGetNs = 5,
    GetCurrentPidTgid = 14,
}

/// A program's code, and where it names maps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) bytes: Vec<u8>,
    /// The offsets of the instructions that load a map, with the map's name.
    pub(super) maps: Vec<(u64, &'static str)>,
}

/// Writes a program from its first instruction to its last.
#[derive(Default)]
pub(super) struct Assembler {
    code: Code,
    labels: HashMap<&'static str, usize>,
    /// Jumps, by the number of their instruction, to labels that come later.
    jumps: Vec<(usize, &'static str)>,
}

impl Assembler {
    fn push(&mut self, opcode: u8, dst: u8, src: u8, offset: i16, imm: i32) -> &mut Self {
        let bytes = &mut self.code.bytes;
        bytes.extend([opcode, src << 4 | dst]);
        bytes.extend(offset.to_le_bytes());
        bytes.extend(imm.to_le_bytes());
        self
    }

    fn next(&self) -> usize {
        self.code.bytes.len() / 8
    }

    /// `dst op= src`
    pub(super) fn reg(&mut self, op: Op, dst: Reg, src: Reg) -> &mut Self {
        self.push(op as u8 | 0x0f, dst as u8, src as u8, 0, 0)
    }

    /// `dst op= value`
    pub(super) fn imm(&mut self, op: Op, dst: Reg, value: i32) -> &mut Self {
        self.push(op as u8 | 0x07, dst as u8, 0, 0, value)
    }

    /// `dst = *(base + offset)`
    pub(super) fn load(&mut self, width: Width, dst: Reg, base: Reg, offset: i16) -> &mut Self {
        self.push(0x61 | width.bits(), dst as u8, base as u8, offset, 0)
    }

    /// `*(frame + offset) = src`
    pub(super) fn store(&mut self, width: Width, offset: i16, src: Reg) -> &mut Self {
        self.push(0x63 | width.bits(), Reg::R10 as u8, src as u8, offset, 0)
    }

    /// `*base = src`, a double word.
    pub(super) fn put(&mut self, base: Reg, src: Reg) -> &mut Self {
        let opcode = 0x63 | Width::Double.bits();
        self.push(opcode, base as u8, src as u8, 0, 0)
    }

    /// `*(frame + offset) = value`
    pub(super) fn store_imm(&mut self, width: Width, offset: i16, value: i32) -> &mut Self {
        self.push(0x62 | width.bits(), Reg::R10 as u8, 0, offset, value)
    }

    /// `*base += src`, a double word, atomically.
    pub(super) fn add_atomic(&mut self, base: Reg, src: Reg) -> &mut Self {
        self.push(0xdb, base as u8, src as u8, 0, 0)
    }

    /// `dst = frame + offset`
    pub(super) fn frame(&mut self, dst: Reg, offset: i16) -> &mut Self {
        self.reg(Op::Mov, dst, Reg::R10)
            .imm(Op::Add, dst, offset.into())
    }

    /// `dst = map`: two instructions, which the loader fills.
    pub(super) fn map(&mut self, dst: Reg, name: &'static str) -> &mut Self {
        let at = self.code.bytes.len() as u64;
        self.code.maps.push((at, name));
        self.push(0x18, dst as u8, 0, 0, 0).push(0, 0, 0, 0, 0)
    }

    /// Calls a helper.
    pub(super) fn call(&mut self, helper: Helper) -> &mut Self {
        self.push(0x85, 0, 0, 0, helper as i32)
    }

    /// Jumps on to a label where `dst` is as asked, compared with `value`.
    pub(super) fn jump(
        &mut self,
        when: When,
        dst: Reg,
        value: i32,
        label: &'static str,
    ) -> &mut Self {
        self.jumps.push((self.next(), label));
        self.push(0x05 | when as u8, dst as u8, 0, 0, value)
    }

    /// Jumps on to a label.
    pub(super) fn go(&mut self, label: &'static str) -> &mut Self {
        self.jump(When::Always, Reg::R0, 0, label)
    }

    /// The place that jumps before it name.
    pub(super) fn label(&mut self, name: &'static str) -> &mut Self {
        let taken = self.labels.insert(name, self.next());
        debug_assert_eq!(taken, None, "the label {name} is there twice");
        self
    }

    /// `return 0`, and the end: all jumps are given their distance.
    pub(super) fn end(&mut self) -> Code {
        self.imm(Op::Mov, Reg::R0, 0).push(0x95, 0, 0, 0, 0);
        for (at, label) in std::mem::take(&mut self.jumps) {
            let target = self.labels.get(label);
            let target = *target.expect("every jump's label is in the program");
            // The distance counts from the instruction that follows. The programs here are short.
            let distance = i16::try_from(target - at - 1).expect("the label is near and ahead");
            self.code.bytes[at * 8 + 2..at * 8 + 4].copy_from_slice(&distance.to_le_bytes());
        }
        std::mem::take(&mut self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_encoded_as_the_kernel_has_them() {
        let mut assembler = Assembler::default();
        assembler
            .load(Width::Byte, Reg::R7, Reg::R6, 34)
            .jump(When::Equal, Reg::R7, 70, "out")
            .map(Reg::R1, "counts")
            .call(Helper::KtimeGetNs)
            .label("out");
        let code = assembler.end();
        // llvm-objdump: r7 = *(u8 *)(r6 + 34); if r7 == 70 goto +3; r1 = 0 ll; call 5; r0 = 0; exit
        #[rustfmt::skip]
        let expected = [
            0x71, 0x67, 34, 0, 0, 0, 0, 0,
            0x15, 0x07, 3, 0, 70, 0, 0, 0,
            0x18, 0x01, 0, 0, 0, 0, 0, 0,
            0x00, 0x00, 0, 0, 0, 0, 0, 0,
            0x85, 0x00, 0, 0, 5, 0, 0, 0,
            0xb7, 0x00, 0, 0, 0, 0, 0, 0,
            0x95, 0x00, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(code.bytes, expected);
        assert_eq!(code.maps, [(16, "counts")]);
    }
}
