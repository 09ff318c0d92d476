//! The programs and their maps as an object file, which is what loaders of eBPF take.

use super::{
    assembler::Code,
    program::{COUNTS, LOST, STARTS},
};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
    elf::R_BPF_64_64,
    write::{
        Object, Relocation, RelocationFlags, SectionId, StandardSegment, Symbol, SymbolId,
        SymbolSection,
    },
};
use std::collections::HashMap;

/// `bpf_map_type` (include/uapi/linux/bpf.h).
const HASH: u32 = 1;
const ARRAY: u32 = 2;
/// Requests whose completion is never seen make room for newer ones.
const LRU_HASH: u32 = 9;

/// Name, type, bytes of a key and of a value, most entries. NVMe queues hold a thousand requests
/// each; a process fills some hundred buckets.
const MAPS: [(&str, u32, u32, u32, u32); 3] = [
    (STARTS, LRU_HASH, 16, 16, 16384),
    (COUNTS, HASH, 12, 8, 16384),
    (LOST, ARRAY, 4, 8, 2),
];

/// The helpers in use are open to any licence; the kernel wants to be told one.
const LICENCE: &[u8] = b"MIT OR Apache-2.0\0";

/// The object file of programs and their names.
pub(super) fn write(programs: &[(&str, Code)]) -> Vec<u8> {
    let mut file = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    let segment = file.segment_name(StandardSegment::Data).to_vec();
    let licence = file.add_section(segment.clone(), b"license".to_vec(), SectionKind::Data);
    file.append_section_data(licence, LICENCE, 1);
    let maps = file.add_section(segment.clone(), b"maps".to_vec(), SectionKind::Data);
    let maps: HashMap<_, _> = MAPS
        .iter()
        .map(|&(name, kind, key, value, entries)| {
            // Flags, id and pinning are 0.
            let words = [kind, key, value, entries, 0, 0, 0];
            let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
            (name, add(&mut file, maps, name, SymbolKind::Data, &bytes))
        })
        .collect();
    for (name, code) in programs {
        let section = format!("tracepoint/{name}").into_bytes();
        let section = file.add_section(segment.clone(), section, SectionKind::Text);
        add(&mut file, section, name, SymbolKind::Text, &code.bytes);
        for &(offset, map) in &code.maps {
            let relocation = Relocation {
                offset,
                symbol: maps[map],
                addend: 0,
                flags: RelocationFlags::Elf {
                    r_type: R_BPF_64_64,
                },
            };
            let added = file.add_relocation(section, relocation);
            added.expect("this kind of relocation is known for eBPF");
        }
    }
    file.write().expect("an object in memory can be written")
}

fn add(
    file: &mut Object<'_>,
    section: SectionId,
    name: &str,
    kind: SymbolKind,
    bytes: &[u8],
) -> SymbolId {
    let value = file.append_section_data(section, bytes, 8);
    file.add_symbol(Symbol {
        name: name.as_bytes().to_vec(),
        value,
        size: bytes.len() as u64,
        kind,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(section),
        flags: SymbolFlags::None,
    })
}
