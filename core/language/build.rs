//! Writes OpenCC's pairs of traditional and simplified characters as a table: a dictionary of phrases need not be
//! loaded at each start, and single characters are all that is asked for.

#![forbid(unsafe_code)]

use std::{env, fmt::Write, fs, path::Path};

use ferrous_opencc::{OpenCC, config::BuiltinConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let to_simplified = OpenCC::from_config(BuiltinConfig::T2s)?;
    let han = [
        '\u{3400}'..='\u{9fff}',
        '\u{f900}'..='\u{faff}',
        '\u{20000}'..='\u{323af}',
    ];
    let mut pairs = String::from("&[\n");
    for c in han.into_iter().flatten() {
        let simplified = to_simplified.convert(c.encode_utf8(&mut [0; 4])).chars().next();
        if let Some(simplified) = simplified.filter(|it| *it != c) {
            writeln!(pairs, "({c:?}, {simplified:?}),")?;
        }
    }
    pairs.push(']');
    fs::write(Path::new(&env::var("OUT_DIR")?).join("simplified.rs"), pairs)?;
    Ok(())
}
