//! What the processor can do that the kernels use.

use std::fs;

use bedside_model::physical_cores;

use super::finding::Finding;

pub(super) fn look() -> Vec<Finding> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let logical = std::thread::available_parallelism().map_or(1, usize::from);
    vec![
        features(std::env::consts::ARCH, flags(&cpuinfo)),
        Finding::ok(
            "cores",
            format!(
                "{} compute, of {logical} that this process may use",
                physical_cores()
            ),
        ),
    ]
}

/// Of the first processor in `/proc/cpuinfo`.
fn flags(cpuinfo: &str) -> &str {
    let line = cpuinfo.lines().find(|it| it.starts_with("flags"));
    line.and_then(|it| it.split_once(':')).map_or("", |it| it.1)
}

fn features(architecture: &str, flags: &str) -> Finding {
    let slow = "the model's answers are slow here: use a machine with AVX2, or a server ([remote])";
    if architecture != "x86_64" {
        let text = format!("{architecture} has no kernels of its own, the portable path serves");
        return Finding::note("processor", text, slow);
    }
    let has = |names: &[&str]| {
        names
            .iter()
            .all(|name| flags.split_whitespace().any(|it| it == *name))
    };
    let known = [
        ("AVX2", has(&["avx2", "fma", "f16c"])),
        ("AVX-VNNI", has(&["avx_vnni"])),
        ("AVX-512 VNNI", has(&["avx512_vnni", "avx512vl"])),
        ("AMX", has(&["amx_tile", "amx_int8"])),
    ];
    let names: Vec<_> = known.iter().filter(|it| it.1).map(|it| it.0).collect();
    if has(&["avx2", "fma", "f16c"]) {
        Finding::ok("processor", names.join(", "))
    } else {
        Finding::note(
            "processor",
            "without AVX2, FMA and F16C, the portable path serves",
            slow,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Verdict, features, flags};

    #[test]
    fn flags_are_whole_words_of_the_first_processor() {
        let text = "processor\t: 0\nflags\t\t: fpu avx2 fma f16c\n\nprocessor\t: 1\nflags\t\t: other\n";
        assert_eq!(flags(text).trim(), "fpu avx2 fma f16c");
        assert_eq!(flags(""), "");
        let check = |architecture, flags, expect: Verdict, words: &str| {
            let found = features(architecture, flags);
            assert_eq!(found.verdict, expect, "{found:?}");
            assert_eq!(found.text.contains(words), !words.is_empty(), "{found:?}");
        };
        check("x86_64", " avx2 fma f16c", Verdict::Ok, "AVX2");
        check(
            "x86_64",
            "avx2 fma f16c avx512_vnni avx512vl amx_tile amx_int8",
            Verdict::Ok,
            "AVX2, AVX-512 VNNI, AMX",
        );
        check("x86_64", "avx512_vnni fma f16c", Verdict::Note, "without AVX2");
        check("aarch64", "", Verdict::Note, "portable");
    }
}
