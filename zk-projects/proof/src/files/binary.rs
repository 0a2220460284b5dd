//! The container that `.r1cs`, `.wtns`, `.zkey` and `.ptau` share: a magic word, a version, and numbered sections.
//!
//! ```text
//! magic  4 bytes          "r1cs", "wtns", "zkey", "ptau"
//! version   u32
//! sections  u32           how many follow
//! each:     number u32, bytes u64, content
//! ```
//!
//! All numbers are little-endian. Sections may come in any order. [`Sections::parse`] looks at every header before any content is
//! read, so that a file that is cut, too long, or of another kind is refused at once, with the offset at which it is wrong.

use std::collections::BTreeMap;
use std::ops::Range;

/// A file is not what it should be. Offsets are in bytes from its beginning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem} (at byte {offset})")]
pub struct FormatError {
    /// Kind of file: `r1cs`, `wtns`, `zkey`, `ptau`.
    pub file: &'static str,
    /// Where.
    pub offset: u64,
    /// What.
    pub problem: String,
}

/// The sections of one file in memory (or mapped).
#[derive(Debug, Clone)]
pub struct Sections<'a> {
    file: &'static str,
    bytes: &'a [u8],
    ranges: BTreeMap<u32, Range<usize>>,
}

impl<'a> Sections<'a> {
    /// Reads the headers of a file that begins with `magic` and has the given `version`.
    ///
    /// # Errors
    ///
    /// Another magic word or version, a section that is there twice or reaches beyond the end, bytes after the last one.
    pub fn parse(magic: &'static str, version: u32, bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(magic, bytes, 0);
        let found = cursor.take(4)?;
        if found != magic.as_bytes() {
            return Err(cursor.error_at(0, format!("begins with {found:?} instead of \"{magic}\"")));
        }
        let found = cursor.u32()?;
        if found != version {
            return Err(cursor.error_at(4, format!("version {found}, where {version} is known")));
        }
        let mut ranges = BTreeMap::new();
        for _ in 0..cursor.u32()? {
            let at = cursor.offset();
            let number = cursor.u32()?;
            let length = cursor.u64()?;
            let start = cursor.position;
            let length = usize::try_from(length)
                .ok()
                .filter(|length| *length <= bytes.len() - start)
                .ok_or_else(|| {
                    cursor.error_at(
                        at,
                        format!(
                            "section {number} says {length} bytes, but {} are left",
                            bytes.len() - start
                        ),
                    )
                })?;
            cursor.position = start + length;
            if ranges.insert(number, start..start + length).is_some() {
                return Err(cursor.error_at(at, format!("section {number} is there twice")));
            }
        }
        if cursor.position < bytes.len() {
            let rest = bytes.len() - cursor.position;
            return Err(cursor.error(format!("{rest} bytes after the last section")));
        }
        Ok(Self {
            file: magic,
            bytes,
            ranges,
        })
    }

    /// The content of a section.
    ///
    /// # Errors
    ///
    /// There is none of this number.
    pub fn section(&self, number: u32) -> Result<Cursor<'a>, FormatError> {
        let range = self.ranges.get(&number).ok_or_else(|| FormatError {
            file: self.file,
            offset: 8,
            problem: format!("section {number} is missing"),
        })?;
        Ok(Cursor {
            file: self.file,
            bytes: &self.bytes[..range.end],
            position: range.start,
        })
    }

    /// Checks that there are no sections but those of `known`: what is not understood might change what the rest means.
    ///
    /// # Errors
    ///
    /// There is another.
    pub fn expect_only(&self, known: &[u32]) -> Result<(), FormatError> {
        let unknown = self
            .ranges
            .iter()
            .find(|(number, _)| !known.contains(number));
        match unknown {
            None => Ok(()),
            Some((number, range)) => Err(FormatError {
                file: self.file,
                offset: range.start as u64,
                problem: format!("section {number} is not known"),
            }),
        }
    }

    /// The numbers of the sections that are there, ascending, with their lengths in bytes.
    pub fn lengths(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        self.ranges
            .iter()
            .map(|(number, range)| (*number, range.len()))
    }
}

/// Reads on through one section; errors carry the offset in the file.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    file: &'static str,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    fn new(file: &'static str, bytes: &'a [u8], position: usize) -> Self {
        Self {
            file,
            bytes,
            position,
        }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    ///
    /// Fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let rest = &self.bytes[self.position..];
        let Some(taken) = rest.get(..count) else {
            return Err(self.error(format!("{count} bytes expected, {} left", rest.len())));
        };
        self.position += count;
        Ok(taken)
    }

    /// A cursor over the next `count` bytes, which this one skips.
    ///
    /// # Errors
    ///
    /// Fewer are left.
    pub fn part(&mut self, count: usize) -> Result<Self, FormatError> {
        let position = self.position;
        self.take(count)?;
        Ok(Self {
            file: self.file,
            bytes: &self.bytes[..self.position],
            position,
        })
    }

    /// The next byte as a number.
    ///
    /// # Errors
    ///
    /// None is left.
    pub fn u8(&mut self) -> Result<u8, FormatError> {
        Ok(self.take(1)?[0])
    }

    /// The next four bytes as a number.
    ///
    /// # Errors
    ///
    /// Fewer are left.
    pub fn u32(&mut self) -> Result<u32, FormatError> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes(bytes.try_into().expect("four bytes")))
    }

    /// The next eight bytes as a number.
    ///
    /// # Errors
    ///
    /// Fewer are left.
    pub fn u64(&mut self) -> Result<u64, FormatError> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    /// How many bytes are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Where the next byte is, in bytes from the beginning of the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.position as u64
    }

    /// An error at the next byte.
    #[must_use]
    pub fn error(&self, problem: impl Into<String>) -> FormatError {
        self.error_at(self.offset(), problem)
    }

    /// An error at a byte of the file.
    #[must_use]
    pub fn error_at(&self, offset: u64, problem: impl Into<String>) -> FormatError {
        FormatError {
            file: self.file,
            offset,
            problem: problem.into(),
        }
    }

    /// Checks that exactly `count` items of `bytes` bytes each are left, before anything is allocated for them.
    ///
    /// # Errors
    ///
    /// More or fewer bytes are left. `what` names the items.
    pub fn expect_left(&self, count: usize, bytes: usize, what: &str) -> Result<(), FormatError> {
        if count.checked_mul(bytes) == Some(self.left()) {
            return Ok(());
        }
        Err(self.error(format!(
            "{count} {what} of {bytes} bytes do not take the {} bytes that the section has",
            self.left()
        )))
    }

    /// Checks that `count` items of at least `bytes` bytes each can be left, before anything is allocated for them.
    ///
    /// # Errors
    ///
    /// Fewer bytes are left. `what` names the items.
    pub fn expect_at_least(
        &self,
        count: usize,
        bytes: usize,
        what: &str,
    ) -> Result<(), FormatError> {
        if count
            .checked_mul(bytes)
            .is_some_and(|bytes| bytes <= self.left())
        {
            return Ok(());
        }
        Err(self.error(format!(
            "{count} {what} of at least {bytes} bytes, where {} bytes are left",
            self.left()
        )))
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    ///
    /// Something is.
    pub fn end(&self) -> Result<(), FormatError> {
        match self.left() {
            0 => Ok(()),
            left => Err(self.error(format!("{left} bytes more than the section should hold"))),
        }
    }
}

/// Writes a file's header and sections.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
}

impl<W: std::io::Write> Writer<W> {
    /// Begins a file of `sections` sections.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn new(mut out: W, magic: &str, version: u32, sections: u32) -> std::io::Result<Self> {
        out.write_all(magic.as_bytes())?;
        out.write_all(&version.to_le_bytes())?;
        out.write_all(&sections.to_le_bytes())?;
        Ok(Self { out })
    }

    /// Begins a section of exactly `bytes` bytes, which the caller writes to what is returned.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn begin(&mut self, number: u32, bytes: u64) -> std::io::Result<&mut W> {
        self.out.write_all(&number.to_le_bytes())?;
        self.out.write_all(&bytes.to_le_bytes())?;
        Ok(&mut self.out)
    }

    /// Writes a whole section.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn section(&mut self, number: u32, content: &[u8]) -> std::io::Result<()> {
        self.begin(number, content.len() as u64)?.write_all(content)
    }

    /// Gives back what was written to, not flushed.
    pub fn into_inner(self) -> W {
        self.out
    }
}
