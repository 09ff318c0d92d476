//! The framing of an HTTP/1 response body (RFC 9112 §6 and §7).

use super::WireError;

/// Longest line of a chunk head or trailer.
const MAX_LINE_BYTES: u32 = 16 << 10;

/// Strips the framing from a body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BodyReader {
    /// `content-length`: so many bytes are still to come.
    Length(u64),
    /// `transfer-encoding: chunked`.
    Chunked(Chunked),
    /// Ends where the connection does.
    UntilClose,
}

/// Where in a chunked body the reader is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Chunked {
    /// In a chunk's size; `digits` of it have come.
    Size { size: u64, digits: u32 },
    /// After the size, before the line's end.
    Extension { size: u64, seen: u32 },
    /// Between CR and LF of the size's line.
    SizeLf { size: u64 },
    /// In a chunk's data.
    Data { left: u64 },
    /// Between a chunk's data and its CR.
    DataCr,
    /// Between a chunk's CR and its LF.
    DataLf,
    /// In the trailer: at the start of a line, or `seen` bytes into one.
    Trailer { seen: u32, cr: bool },
    /// Past the last byte.
    End,
}

/// One step through the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    /// Body bytes; empty where the input held only framing.
    pub(crate) data: &'a [u8],
    /// How many input bytes this step took.
    pub(crate) taken: usize,
    /// Whether the body is over.
    pub(crate) end: bool,
}

impl BodyReader {
    pub(crate) fn length(bytes: u64) -> Self {
        Self::Length(bytes)
    }

    pub(crate) fn chunked() -> Self {
        Self::Chunked(Chunked::Size { size: 0, digits: 0 })
    }

    /// Whether the body is over without another byte.
    pub(crate) fn is_at_end(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunked::End))
    }

    /// Whether the body is whole if the connection ends here.
    pub(crate) fn may_end_here(&self) -> bool {
        self.is_at_end() || matches!(self, Self::UntilClose)
    }

    /// Takes the next piece. Call again with the rest while there is any and `end` is false.
    pub(crate) fn next<'a>(&mut self, input: &'a [u8]) -> Result<Piece<'a>, WireError> {
        match self {
            Self::UntilClose => Ok(Piece {
                data: input,
                taken: input.len(),
                end: false,
            }),
            Self::Length(left) => {
                let data = &input[..within(*left, input)];
                *left -= data.len() as u64;
                Ok(Piece {
                    data,
                    taken: data.len(),
                    end: *left == 0,
                })
            }
            Self::Chunked(chunked) => chunked.next(input),
        }
    }
}

impl Chunked {
    fn next<'a>(&mut self, input: &'a [u8]) -> Result<Piece<'a>, WireError> {
        let mut taken = 0;
        while let Some(&byte) = input.get(taken) {
            if let Self::Data { left } = self {
                let rest = &input[taken..];
                let data = &rest[..within(*left, rest)];
                *left -= data.len() as u64;
                if *left == 0 {
                    *self = Self::DataCr;
                }
                return Ok(Piece {
                    data,
                    taken: taken + data.len(),
                    end: false,
                });
            }
            self.framing_byte(byte)?;
            taken += 1;
            if *self == Self::End {
                break;
            }
        }
        Ok(Piece {
            data: &[],
            taken,
            end: *self == Self::End,
        })
    }

    fn framing_byte(&mut self, byte: u8) -> Result<(), WireError> {
        *self = match (&*self, byte) {
            (&Self::Size { size, digits }, byte) if byte.is_ascii_hexdigit() => {
                if digits == 15 {
                    return Err(WireError::new("a chunk's size has more than 15 digits"));
                }
                // A hexadecimal digit was checked above.
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                Self::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                }
            }
            (Self::Size { digits: 0, .. }, byte) => return Err(stray("a chunk's size", byte)),
            (&Self::Size { size, .. } | &Self::Extension { size, .. }, b'\r') => {
                Self::SizeLf { size }
            }
            (&Self::Size { size, .. }, b';' | b' ' | b'\t') => Self::Extension { size, seen: 0 },
            (Self::Size { .. }, byte) => return Err(stray("the end of a chunk's size", byte)),
            (&Self::Extension { size, seen }, _) if seen < MAX_LINE_BYTES => Self::Extension {
                size,
                seen: seen + 1,
            },
            (Self::SizeLf { size: 0 }, b'\n') => Self::Trailer { seen: 0, cr: false },
            (&Self::SizeLf { size }, b'\n') => Self::Data { left: size },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::Trailer { seen: 0, cr: true }, b'\n') => Self::End,
            (Self::Trailer { cr: true, .. }, b'\n') => Self::Trailer { seen: 0, cr: false },
            (&Self::Trailer { seen, cr: false }, b'\r') => Self::Trailer { seen, cr: true },
            (&Self::Trailer { seen, cr: false }, _) if seen < MAX_LINE_BYTES => Self::Trailer {
                seen: seen + 1,
                cr: false,
            },
            (_, byte) => return Err(stray("a chunk's line end", byte)),
        };
        Ok(())
    }
}

fn within(left: u64, input: &[u8]) -> usize {
    // Not more than the input's length, so it fits.
    left.min(input.len() as u64) as usize
}

fn stray(expected: &str, byte: u8) -> WireError {
    WireError::new(format!(
        "the chunked body is broken: {:?} where {expected} was expected",
        byte as char
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The body of `parts`, how many bytes were taken, and whether it ended.
    fn decode(
        reader: &mut BodyReader,
        parts: &[&[u8]],
    ) -> Result<(Vec<u8>, usize, bool), WireError> {
        let (mut body, mut total) = (Vec::new(), 0);
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let piece = reader.next(rest)?;
                body.extend_from_slice(piece.data);
                total += piece.taken;
                rest = &rest[piece.taken..];
                if piece.end {
                    return Ok((body, total, true));
                }
            }
        }
        Ok((body, total, false))
    }

    #[test]
    fn a_length_ends_where_it_says() {
        let mut reader = BodyReader::length(3);
        let got = decode(&mut reader, &[b"ab", b"cde"]).unwrap();
        assert_eq!(got, (b"abc".to_vec(), 3, true));
        assert!(reader.is_at_end());
    }

    #[test]
    fn extensions_and_trailers_are_skipped() {
        let wire = b"3;name=value\r\nabc\r\nA \r\n0123456789\r\n0\r\nx: y\r\n\r\nmore";
        let got = decode(&mut BodyReader::chunked(), &[wire]).unwrap();
        assert_eq!(got, (b"abc0123456789".to_vec(), wire.len() - 4, true));
    }

    #[test]
    fn broken_framing_is_refused() {
        for wire in [
            &b"\r\n"[..],
            b"x\r\n",
            b"1\n",
            b"1\r\nab",
            b"1234567890abcdef0\r\n",
            b"0\r\n\r\r",
        ] {
            let got = decode(&mut BodyReader::chunked(), &[wire]);
            assert!(got.is_err(), "{:?}", String::from_utf8_lossy(wire));
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_body(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..6),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\n\r\n");
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]).collect();
            let got = decode(&mut BodyReader::chunked(), &parts).unwrap();
            prop_assert_eq!(got, (chunks.concat(), wire.len(), true));
        }
    }
}
