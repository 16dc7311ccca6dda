//! The two languages and the seven sections that every article has.

use std::fmt;

use bedside_language::is_han;
use serde::{Deserialize, Serialize};

/// A language of the knowledge base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    En,
    Zh,
}

impl Language {
    pub const ALL: [Self; 2] = [Self::En, Self::Zh];

    /// `en` or `zh`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// The reverse of [`Language::code`]; `zh-CN` and the like are read too.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let code = code.trim().to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|it| code == it.code() || code.starts_with(&format!("{}-", it.code())))
    }

    /// Told by script: Chinese if Han characters weigh as much as the Latin letters, four to one.
    #[must_use]
    pub fn detect(text: &str) -> Option<Self> {
        let han = text.chars().filter(|it| is_han(*it)).count();
        let latin = text.chars().filter(char::is_ascii_alphabetic).count();
        match (han, latin) {
            (0, 0) => None,
            (han, latin) if han * 4 >= latin => Some(Self::Zh),
            _ => Some(Self::En),
        }
    }

    /// The other one.
    #[must_use]
    pub fn twin(self) -> Self {
        match self {
            Self::En => Self::Zh,
            Self::Zh => Self::En,
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A section of an article, in the order in which they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    Definition,
    Causes,
    Symptoms,
    WhenToSeekCare,
    Diagnosis,
    Treatment,
    Prevention,
}

impl Section {
    pub const ALL: [Self; 7] = [
        Self::Definition,
        Self::Causes,
        Self::Symptoms,
        Self::WhenToSeekCare,
        Self::Diagnosis,
        Self::Treatment,
        Self::Prevention,
    ];

    /// The second half of a passage's id.
    #[must_use]
    pub fn slug(self) -> &'static str {
        match self {
            Self::Definition => "definition",
            Self::Causes => "causes",
            Self::Symptoms => "symptoms",
            Self::WhenToSeekCare => "when-to-seek-care",
            Self::Diagnosis => "diagnosis",
            Self::Treatment => "treatment",
            Self::Prevention => "prevention",
        }
    }

    /// The reverse of [`Section::slug`].
    #[must_use]
    pub fn parse(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.slug() == slug)
    }

    /// The heading as it stands in an article and in a passage's title.
    #[must_use]
    pub fn heading(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Definition, Language::En) => "Definition",
            (Self::Definition, Language::Zh) => "定义",
            (Self::Causes, Language::En) => "Causes",
            (Self::Causes, Language::Zh) => "病因",
            (Self::Symptoms, Language::En) => "Symptoms and signs",
            (Self::Symptoms, Language::Zh) => "症状与体征",
            (Self::WhenToSeekCare, Language::En) => "When to seek care",
            (Self::WhenToSeekCare, Language::Zh) => "何时就医",
            (Self::Diagnosis, Language::En) => "Diagnosis",
            (Self::Diagnosis, Language::Zh) => "诊断",
            (Self::Treatment, Language::En) => "Treatment",
            (Self::Treatment, Language::Zh) => "治疗",
            (Self::Prevention, Language::En) => "Prevention",
            (Self::Prevention, Language::Zh) => "预防",
        }
    }

    /// The reverse of [`Section::heading`], upper and lower case being the same.
    #[must_use]
    pub fn from_heading(heading: &str, language: Language) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|it| it.heading(language).eq_ignore_ascii_case(heading.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Language, Section};

    #[test]
    fn names_are_read_back() {
        for section in Section::ALL {
            assert_eq!(Section::parse(section.slug()), Some(section));
            for language in Language::ALL {
                assert_eq!(
                    Section::from_heading(section.heading(language), language),
                    Some(section)
                );
            }
        }
        assert_eq!(Section::from_heading("Therapy", Language::En), None);
        assert_eq!(Section::from_heading("Treatment", Language::Zh), None);
    }

    #[test]
    fn language_is_told_by_script() {
        let cases = [
            ("我头疼", Some(Language::Zh)),
            ("我的 CT 报告", Some(Language::Zh)),
            ("my head hurts", Some(Language::En)),
            ("what does 感冒 mean in English please", Some(Language::En)),
            ("120 !", None),
        ];
        for (text, expect) in cases {
            assert_eq!(Language::detect(text), expect, "{text}");
        }
        assert_eq!(Language::parse("zh-CN"), Some(Language::Zh));
        assert_eq!(Language::parse("fr"), None);
    }
}
