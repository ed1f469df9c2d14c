//! What the files say, kept packed to be read again and quoted: ten thousand manifests are much alike, and take a tenth of their bytes.
//! All of them stand in one row of blocks, for each by itself would find little of which it is the like.

use std::{cell::RefCell, fmt, ops::Range, rc::Rc};

use lz4_flex::block::{compress_prepend_size, decompress_size_prepended};

/// Bytes of a block: a look at one manifest unpacks one or two.
const BLOCK: usize = 32 << 10;

/// The texts of all files.
#[derive(Clone, Default)]
pub struct Texts(Rc<RefCell<Blocks>>);

#[derive(Default)]
struct Blocks {
    packed: Vec<Box<[u8]>>,
    /// The last one, which is not full yet.
    open: Vec<u8>,
    /// The one that was looked at last, for the next look is nearly always at the same.
    looked_at: Option<(usize, Vec<u8>)>,
}

/// The text of one file.
#[derive(Clone)]
pub struct Text {
    texts: Texts,
    place: Range<usize>,
}

impl Texts {
    /// Keeps a text.
    pub fn keep(&self, text: &str) -> Text {
        let blocks = &mut *self.0.borrow_mut();
        let from = blocks.packed.len() * BLOCK + blocks.open.len();
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK - blocks.open.len()));
            blocks.open.extend_from_slice(now);
            if blocks.open.len() == BLOCK {
                blocks.packed.push(compress_prepend_size(&blocks.open).into());
                blocks.open.clear();
            }
            rest = later;
        }
        Text { texts: self.clone(), place: from..from + text.len() }
    }
}

impl Blocks {
    fn bytes(&mut self, number: usize) -> &[u8] {
        let Some(packed) = self.packed.get(number) else { return &self.open };
        if self.looked_at.as_ref().is_none_or(|(looked_at, _)| *looked_at != number) {
            // As it was packed, for nothing in between can change it.
            self.looked_at = Some((number, decompress_size_prepended(packed).unwrap_or_default()));
        }
        self.looked_at.as_ref().map_or(&[], |(_, bytes)| bytes)
    }
}

impl Text {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.place.len()
    }

    /// A part of it, in bytes; what lies beyond its end is left out, and so are the pieces of a character that is cut.
    pub fn part(&self, part: Range<usize>) -> String {
        let blocks = &mut *self.texts.0.borrow_mut();
        let end = self.place.end.min(self.place.start + part.end);
        let (mut at, mut found) = (self.place.start + part.start, Vec::new());
        while at < end {
            let (number, from) = (at / BLOCK, at % BLOCK);
            let to = BLOCK.min(from + end - at);
            found.extend_from_slice(blocks.bytes(number).get(from..to).unwrap_or_default());
            at += to - from;
        }
        found.utf8_chunks().map(|chunk| chunk.valid()).collect()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_out_as_they_went_in_across_blocks_and_files() {
        let texts = Texts::default();
        let long: String = (0..20_000).map(|i| format!("line {i} é\n")).collect();
        let said = ["", "one: 1\n", &long, "two: 2\n", &long[..BLOCK - 5], "end"];
        let kept = said.map(|text| texts.keep(text));
        for (text, kept) in said.iter().zip(&kept) {
            assert_eq!((kept.len(), &*kept.part(0..text.len())), (text.len(), *text));
            let (from, to) = (text.len() / 3, text.len() / 2);
            let part: String = text.char_indices().filter(|(i, c)| (from..to).contains(i) && i + c.len_utf8() <= to).map(|(_, c)| c).collect();
            assert_eq!(kept.part(from..to), part);
        }
        assert_eq!(kept[1].part(3..1_000), ": 1\n", "and nothing of the next file");
        assert_eq!(kept[1].part(50..60), "");
        let packed: usize = texts.0.borrow().packed.iter().map(|block| block.len()).sum();
        assert!(packed * 3 < long.len() * 2, "{packed} of {}", long.len());
    }
}
