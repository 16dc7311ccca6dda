//! How large a model is, told by its name: most servers say nothing of it.

/// The parameters that a name states: `Qwen2.5-14B-Instruct`, `mixtral-8x7b` (all experts), `SmolLM2-360M`. The largest,
/// where it states several (`Qwen3-30B-A3B`).
pub(crate) fn named_in(name: &str) -> Option<u64> {
    let name = name.to_lowercase();
    let words = name.split(|it: char| !it.is_ascii_alphanumeric() && it != '.');
    words.filter_map(stated).max()
}

pub(crate) fn of_billions(billions: f64) -> u64 {
    // Saturates.
    (billions * 1e9).round() as u64
}

/// `14b`, `0.5b`, `8x7b`, `360m`.
fn stated(word: &str) -> Option<u64> {
    let (number, billions) = match word.strip_suffix('b') {
        Some(number) => (number, 1.0),
        None => (word.strip_suffix('m')?, 0.001),
    };
    let (experts, number) = number.split_once('x').unwrap_or(("1", number));
    let experts: u32 = experts.parse().ok()?;
    let number: f64 = number.parse().ok().filter(|it: &f64| it.is_finite())?;
    Some(of_billions(f64::from(experts) * number * billions)).filter(|it| *it > 0)
}

#[cfg(test)]
mod tests {
    use super::named_in;

    #[test]
    fn names_state_sizes() {
        let check = |name: &str, millions: Option<u64>| {
            assert_eq!(named_in(name), millions.map(|it| it * 1_000_000), "{name}");
        };
        check("ward Qwen/Qwen2.5-14B-Instruct", Some(14_000));
        check("Qwen3-30B-A3B", Some(30_000));
        check("mixtral-8x7b-instruct", Some(56_000));
        check("SmolLM2-360M-Instruct.Q4_1", Some(360));
        check("Qwen2.5-0.5B", Some(500));
        check("DeepSeek-R1-Distill-Qwen-1.5B_q4", Some(1_500));
        check("bedside", None);
        check("glm-4-9b-chat", Some(9_000));
        check("model-v2.b infb nanb xb 1e999b", None);
        check("chatglm3", None);
    }
}
