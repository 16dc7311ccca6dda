//! Shorthands for the ways in which a finding is named.
//!
//! `{a,b}` stands for each alternative (`胸{痛,闷}`, `vomit{,ed,ing}`), `x?` and `{a,b}?` for with or without, `~`
//! for a gap of up to four Chinese characters or three English words (`胸口~痛`, `arm ~ numb`), `~~` for a wider one.

/// The alternatives of each piece between gaps.
pub(crate) type Pieces = Vec<Vec<String>>;

/// A form, or the forms that it stands for, in the spelling of texts.
pub(crate) fn spelled_out(form: &str, spelling: fn(&str) -> String) -> Result<Vec<Pieces>, String> {
    if let Some(pieces) = pieces_of(form)? {
        let spelled = pieces
            .iter()
            .map(|it| it.iter().map(|it| spelling(it.trim())).collect());
        return Ok(vec![spelled.collect()]);
    }
    // A gap within braces: each alternative is a form of its own.
    let mut all = Vec::new();
    for form in expand(form)? {
        all.extend(spelled_out(&form, spelling)?);
    }
    Ok(all)
}

/// The alternatives of each piece between gaps; a wide gap is a piece that is empty. `None` if a gap stands within
/// braces, or a piece may be left out.
fn pieces_of(form: &str) -> Result<Option<Pieces>, String> {
    let mut depth = 0;
    for c in form.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            '~' if depth != 0 => return Ok(None),
            _ => {}
        }
    }
    let mut pieces = Vec::new();
    for piece in form.split('~') {
        let alternatives = expand(piece)?;
        if !piece.trim().is_empty() && alternatives.iter().any(|it| it.trim().is_empty()) {
            return Ok(None);
        }
        pieces.push(alternatives);
    }
    Ok(Some(pieces))
}

/// A form that stands for more is a slip of the pen.
const MOST_EXPANSIONS: usize = 2000;

/// Each alternative of each brace, with and without what stands before a question mark.
fn expand(form: &str) -> Result<Vec<String>, String> {
    let mut expanded = vec![String::with_capacity(form.len())];
    let mut rest = form.chars().peekable();
    while let Some(c) = rest.next() {
        let mut alternatives: Vec<String> = match c {
            '{' => {
                let inside: String = rest.by_ref().take_while(|it| *it != '}').collect();
                if inside.contains('{') {
                    return Err("braces inside braces, or a `{` without `}`".to_owned());
                }
                inside.split(',').map(str::to_owned).collect()
            }
            '}' => return Err("a `}` without `{`".to_owned()),
            '?' => return Err("nothing stands before `?`".to_owned()),
            _ if rest.peek() != Some(&'?') => {
                expanded.iter_mut().for_each(|it| it.push(c));
                continue;
            }
            _ => vec![c.to_string()],
        };
        if rest.next_if_eq(&'?').is_some() && !alternatives.iter().any(String::is_empty) {
            alternatives.push(String::new());
        }
        if expanded.len() * alternatives.len() > MOST_EXPANSIONS {
            return Err(format!("stands for more than {MOST_EXPANSIONS} texts: split it"));
        }
        if let [only] = alternatives.as_slice() {
            expanded.iter_mut().for_each(|it| it.push_str(only));
            continue;
        }
        expanded = expanded
            .iter()
            .flat_map(|head| alternatives.iter().map(move |it| format!("{head}{it}")))
            .collect();
    }
    if form.matches('{').count() != form.matches('}').count() {
        return Err("a `{` without `}`".to_owned());
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn braces() {
        assert_eq!(expand("{a,b}c{d,}").unwrap(), ["acd", "ac", "bcd", "bc"]);
        assert_eq!(
            expand("ab?{c,d}?").unwrap(),
            ["abc", "abd", "ab", "ac", "ad", "a"]
        );
        assert!(expand("{a").is_err() && expand("a}").is_err() && expand("{a{b}}").is_err());
    }
}
