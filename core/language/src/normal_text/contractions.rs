//! "could not", "unable to", "does not" as most people write them.

/// In order: later ones read what earlier ones made.
pub(super) const CONTRACTIONS: &[(&str, &str)] = &[
    // As people type on a telephone.
    ("dnt", "dont"),
    ("doesn", "doesnt"),
    ("didn", "didnt"),
    ("dosnt", "doesnt"),
    ("dosent", "doesnt"),
    ("cnt", "cant"),
    ("cudnt", "cant"),
    ("couldn", "couldnt"),
    ("wudnt", "wouldnt"),
    ("havnt", "havent"),
    ("hasn", "hasnt"),
    ("isn", "isnt"),
    ("aint", "isnt"),
    ("can not", "cant"),
    ("cannot", "cant"),
    ("could not", "cant"),
    ("couldnt", "cant"),
    ("is not", "isnt"),
    ("are not", "arent"),
    ("was not", "wasnt"),
    ("were not", "werent"),
    ("does not", "doesnt"),
    ("do not", "dont"),
    ("did not", "didnt"),
    ("has not", "hasnt"),
    ("have not", "havent"),
    ("had not", "hadnt"),
    ("will not", "wont"),
    ("isnt able to", "cant"),
    ("arent able to", "cant"),
    ("wasnt able to", "cant"),
    ("not able to", "cant"),
    ("was unable to", "cant"),
    ("is unable to", "cant"),
    ("am unable to", "cant"),
    ("unable to", "cant"),
];

/// The word is in a long form of [`CONTRACTIONS`].
pub(super) fn may_contract(word: &str) -> bool {
    match word.len() {
        3 => matches!(word, "not" | "dnt" | "isn" | "cnt"),
        4 => matches!(word, "able" | "aint" | "didn" | "hasn"),
        5 => matches!(word, "doesn" | "dosnt" | "cudnt" | "wudnt" | "havnt"),
        6 => matches!(word, "dosent" | "couldn" | "cannot" | "unable"),
        7 => word == "couldnt",
        _ => false,
    }
}
