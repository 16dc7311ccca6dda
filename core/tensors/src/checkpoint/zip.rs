//! The table of a zip whose entries are stored as they are, which is what `torch.save` writes.
//!
//! Format: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>, with the 64-bit fields. Nothing is
//! unpacked, so there is nothing a bomb could do.

use std::{collections::BTreeMap, ops::Range};

const MAX_ENTRIES: u64 = 1 << 17;
const END_BYTES: usize = 22;
const MAX_COMMENT_BYTES: usize = 0xFFFF;

/// Where an entry's bytes lie in the file; none if they are compressed or encrypted.
pub(super) type Entries<'a> = BTreeMap<&'a str, Option<Range<usize>>>;

/// # Errors
/// What is wrong with the zip.
pub(super) fn entries(zip: &[u8]) -> Result<Entries<'_>, String> {
    let directory = directory(zip)?;
    let mut entries = BTreeMap::new();
    let mut claims = Vec::new();
    let mut at = directory.range.start;
    for _ in 0..directory.entries {
        let entry = central_entry(zip, at, &directory.range)
            .ok_or_else(|| format!("the zip's entry at byte {at} is broken; fetch the file again"))?;
        at = entry.next;
        let name = entry.name;
        let (header, data) = local_entry(zip, &entry, directory.range.start)
            .ok_or_else(|| format!("the zip's entry {name} does not lie in the file; fetch it again"))?;
        claims.push((header, data.end, name));
        if entries.insert(name, entry.plain.then_some(data)).is_some() {
            return Err(format!("the zip's entry {name} is there twice"));
        }
    }
    claims.sort_unstable();
    for pair in claims.windows(2) {
        if let [(_, end, first), (start, _, name)] = pair
            && end > start
        {
            return Err(format!("the zip's entry {name} overlaps {first}"));
        }
    }
    Ok(entries)
}

struct Directory {
    entries: u64,
    range: Range<usize>,
}

fn directory(zip: &[u8]) -> Result<Directory, String> {
    let end = find_end(zip)
        .ok_or("truncated: the zip's table at the end of the file is missing; fetch the file again")?;
    let (entries, start, length) = end_record(zip, end).ok_or("the zip's table at its end is broken")?;
    if entries > MAX_ENTRIES {
        return Err(format!(
            "the zip claims {entries} entries, more than {MAX_ENTRIES}"
        ));
    }
    let range = range(start, length).filter(|it| it.end <= end);
    let range = range.ok_or("the zip's table does not lie in the file; fetch the file again")?;
    Ok(Directory { entries, range })
}

fn find_end(zip: &[u8]) -> Option<usize> {
    let last = zip.len().checked_sub(END_BYTES)?;
    let is_end = |at: &usize| {
        let comment = u16_at(zip, at + 20).map(usize::from);
        starts(zip, *at, b"PK\x05\x06") && comment.is_some_and(|it| at + END_BYTES + it == zip.len())
    };
    (last.saturating_sub(MAX_COMMENT_BYTES)..=last).rev().find(is_end)
}

/// Number of entries, start and length of their table.
fn end_record(zip: &[u8], end: usize) -> Option<(u64, u64, u64)> {
    let locator = end.checked_sub(20).filter(|it| starts(zip, *it, b"PK\x06\x07"));
    if let Some(locator) = locator {
        let at = usize::try_from(u64_at(zip, locator + 8)?).ok()?;
        let at = Some(at).filter(|it| it.checked_add(56).is_some_and(|it| it <= locator))?;
        return starts(zip, at, b"PK\x06\x06").then(|| {
            Some((
                u64_at(zip, at + 32)?,
                u64_at(zip, at + 48)?,
                u64_at(zip, at + 40)?,
            ))
        })?;
    }
    Some((
        u16_at(zip, end + 10)?.into(),
        u32_at(zip, end + 16)?.into(),
        u32_at(zip, end + 12)?.into(),
    ))
}

struct CentralEntry<'a> {
    name: &'a str,
    plain: bool,
    length: u64,
    header: u64,
    next: usize,
}

fn central_entry<'a>(zip: &'a [u8], at: usize, table: &Range<usize>) -> Option<CentralEntry<'a>> {
    let zip = zip.get(..table.end)?;
    if !starts(zip, at, b"PK\x01\x02") {
        return None;
    }
    let encrypted = u16_at(zip, at + 8)? & 1 == 1;
    let stored = u16_at(zip, at + 10)? == 0;
    let mut fields = [
        u32_at(zip, at + 24)?,
        u32_at(zip, at + 20)?,
        u32_at(zip, at + 42)?,
    ]
    .map(u64::from);
    let name_end = at + 46 + usize::from(u16_at(zip, at + 28)?);
    let extra_end = name_end + usize::from(u16_at(zip, at + 30)?);
    let next = extra_end + usize::from(u16_at(zip, at + 32)?);
    if next > zip.len() {
        return None;
    }
    let mut long = long_fields(zip.get(name_end..extra_end)?);
    for field in fields.iter_mut().filter(|it| **it == u64::from(u32::MAX)) {
        let (value, rest) = long.split_first_chunk()?;
        *field = u64::from_le_bytes(*value);
        long = rest;
    }
    let [unpacked, length, header] = fields;
    if stored && unpacked != length {
        return None;
    }
    Some(CentralEntry {
        name: str::from_utf8(zip.get(at + 46..name_end)?).ok()?,
        plain: stored && !encrypted,
        length,
        header,
        next,
    })
}

/// The field of 64-bit numbers for those that do not fit into 32.
fn long_fields(mut extra: &[u8]) -> &[u8] {
    while let (Some(kind), Some(length)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some((field, rest)) = extra.get(4..).and_then(|it| it.split_at_checked(length.into())) else {
            break;
        };
        if kind == 1 {
            return field;
        }
        extra = rest;
    }
    &[]
}

/// Where the entry's own header begins and where its bytes lie, before the table.
fn local_entry(zip: &[u8], entry: &CentralEntry<'_>, table: usize) -> Option<(usize, Range<usize>)> {
    let header = usize::try_from(entry.header).ok().filter(|it| *it < table)?;
    if !starts(zip, header, b"PK\x03\x04") {
        return None;
    }
    let names = usize::from(u16_at(zip, header + 26)?) + usize::from(u16_at(zip, header + 28)?);
    let data = range((header + 30 + names) as u64, entry.length)?;
    (data.end <= table).then_some((header, data))
}

fn range(start: u64, length: u64) -> Option<Range<usize>> {
    let start = usize::try_from(start).ok()?;
    Some(start..start.checked_add(usize::try_from(length).ok()?)?)
}

fn starts(bytes: &[u8], at: usize, magic: &[u8; 4]) -> bool {
    bytes.get(at..).is_some_and(|it| it.starts_with(magic))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|it| u16::from_le_bytes(*it))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|it| u32::from_le_bytes(*it))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|it| u64::from_le_bytes(*it))
}
