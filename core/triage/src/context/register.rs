//! Texts that speak of illness while nobody is ill: exams, fiction, rumours, courses.

use crate::{facts::TextFacts, measurements::Measurements, pattern::pattern};

pattern!(
    ABOUT_NOBODY,
    r"作文|小说|网文|抽考|背不下来|[谍古仙偶]\p{Han}{0,2}剧|连续剧|第[0-9一二三四五六七八九十]+章|[男女][主二]|剧情|主角|剧本|电视剧|追剧|电影|恐怖片|考试|考题|题目|考研|期末|病例分析|科普|培训|应急预案|论文|课件|编码|规培|新闻|视频|刷到|网上说|网传|谣言|段子|演习|演练|剧本|影评|综述|宣传栏|宣传稿|科普稿|备课|宣讲|讲座|动画片|朋友圈(都|里|有人)?(在)?[传转]|急救课|培训课|追的剧|\b(fanfic\w*|fiction\w*|short story|memoir|leaflet about|scenario|simulation|news report|in the (film|movie|book|novel|show)|celebrity|teacher told us|workshop|novel|novelist|screenplay|my (heroine|hero|character|protagonist)|essay|dissertation|thesis|exam|osce|quiz|trivia|revising|lecture|first aid (course|training)|training (course|day)|protocol|coding|film|movie|tv show|episode|podcast|documentary|facebook|tiktok|youtube|is it true|myth|rumou?r|hoax|student project|coursework|homework|crossword)\b"
);
// No patient writes so, whatever age and duration the case has.
pattern!(
    EXAMINES,
    r"考试题|考题|(护理|医学|资格|期末|考研)考试|有一道题|(培训|宣教|教学|带教|考试|影像)(病例|案例|题)|病例题|带教题|规培|执业医师|选[a-e](对|吗|还是|选项)|查房讨论|讨论提纲|教学(查房|病例)|题干|答案(是|选|对)|\b(osce|mrcp|usmle|plab|practice question|exam question|mock exam|answer key|multiple choice|teaching slide|station script|flashcards?|journal club|simulation script|proofread|case presentation practice|lecture slide|(revision|audit) question|(training|class|teaching|simulated|simulation|fictional) (vignette|scenario|case)|simulation (day|script)|manikin|cue card|(scenario|case) [a-f0-9]\b|no (live|real) (case|patient)|first aid refresher)\b"
);
pattern!(
    OWN_NOW,
    r"我(爸|妈|爷|奶|儿子|女儿|老公|老婆|孩子)?(现在|刚才|突然)|(现在|今天|刚才|突然)我|我也(想|要)|不想活|活不下去|没有呼吸|没呼吸|叫不醒|\b(i feel|i am having|im having|i cant breathe|my (chest|head|arm|baby|son|daughter|husband|wife|dad|mum|mom))\b"
);
pattern!(
    NOBODY_ILL,
    r"我(本人|自己|们)?(也)?(没事|没毛病|挺好|很好|都好)|没有?(任何)?(不舒服|症状)|身体(很|挺|一直)好|啥事(儿)?(也|都)?没有?|没(啥|什么)症状|啥症状(也|都)?没|(没|无)(有)?(人|谁)(生病|不舒服|犯病)|我没病|我本人(很|挺)?健康|活得(很|挺)?滋润|本人(很|挺)?健康|纯好奇|只是好奇|就是好奇|纯属好奇|没有病例|不是真的|\b(isnt about me|not about me|in rude health|nothing wrong with me|nobodys (ill|sick|hurt|unwell)|(nobody|no one) is (actually )?(ill|sick|hurt|unwell)|im (absolutely |totally |perfectly )?(fine|well|ok)\b|(is|are|am|feel) (perfectly )?(well|fine)\b|no (live|real) (case|patient)|no pupil involved|pure(ly)? fiction|just curious|purely (academic|theoretical|hypothetical)|hypothetical(ly)?|no symptoms|candidate,? not patient|not a patient|fictional)\b"
);
pattern!(
    IS_ILL,
    r"现在|刚才|刚刚|突然|今天|今早|今晚|昨天|昨晚|我(爸|妈|爷|奶|儿子|女儿|老公|老婆|孩子)(刚|突然|现在)|\b(right now|just now|suddenly|today|tonight|this morning|last night|yesterday|im having|i am having|i have|ive got|ive had|i feel|i cant|he cant|she cant|he has|she has|started|woke)\b"
);

// Whatever the novel is about: who says this of himself is no character.
pattern!(
    OWN_WISH_TO_DIE,
    r"我(也|真的?|真|就|都|现在|已经)?(不想(再)?活|想死|想自杀|要自杀|想轻生|活不下去|想一了百了)|\bi (really |just |do |also |still )?(want to|wanna|wish to|need to|am going to|will) (die|kill myself|end it all|end my life|be dead)|\bi (dont|no longer) want to (live|be alive|exist)"
);

// An exam that somebody sits, a lecture that somebody hears.
pattern!(
    ATTENDED,
    r"(有|要|去|参加|听|准备|复习|赶|考完|忙|明天|后天|下周|今天|昨天)[^,。;!?]{0,5}(考试|讲座|培训|期末|考研|论文|备课|宣讲|演习|演练)|(考试|讲座|培训|期末|考研)(前|后|完|结束|压力)|\b(have|had|has|got|after|before|during|for|sit|sitting) (my |an? |the |some )?(\w+ )?(exams?|lectures?|quiz|osce|workshop|essay|dissertation|thesis)( and an? \w+)?( (today|tonight|tomorrow|yesterday|on|next|this|last)\b|$|[,.!?])"
);

/// How much of a text is about a book, an exam, a rumour, and says of nobody that he or she is ill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Story {
    None,
    /// Of nobody in it.
    Whole,
    /// It may be about somebody: only what stands beside the book itself belongs to it.
    Sentences,
}

pub(crate) fn story(text: &str, facts: &TextFacts, measurements: &Measurements) -> Story {
    if OWN_WISH_TO_DIE.is_match(text) {
        return Story::None;
    }
    if EXAMINES.is_match(text) && !OWN_NOW.is_match(text) {
        return Story::Whole;
    }
    if !tells_a_story(text) || OWN_NOW.is_match(text) {
        return Story::None;
    }
    if NOBODY_ILL.is_match(text) {
        return Story::Whole;
    }
    let names_nobody = facts.durations.is_empty()
        && facts.age_years.is_none()
        && *measurements == Measurements::default()
        && !IS_ILL.is_match(text);
    if names_nobody {
        Story::Sentences
    } else {
        Story::None
    }
}

/// A sentence names a book, an exam or a rumour that it is about.
pub(crate) fn tells_a_story(sentence: &str) -> bool {
    ABOUT_NOBODY.is_match(&ATTENDED.replace_all(sentence, ""))
}

#[cfg(test)]
mod tests {
    use super::{Story, story};
    use crate::{facts::TextFacts, measurements::Measurements};
    use bedside_language::normalized;

    #[test]
    fn stories_are_told_from_patients() {
        for (text, expect) in [
            ("儿子作文写爷爷心脏病突发，能帮我改得更贴切吗", true),
            (
                "OSCE practice: how would you structure a suicide risk assessment?",
                true,
            ),
            (
                "Is it true coughing hard during a heart attack saves you? Saw it on Facebook",
                true,
            ),
            ("写小说用的，主角阑尾炎发作，我本人啥事没有", true),
            ("规培考试题：患者胸骨后压榨样疼痛2小时，选B对吗", true),
            (
                "MRCP practice question: A 24-year-old woman with neck stiffness and petechiae",
                true,
            ),
            ("OSCE tomorrow and I feel crushed, my chest hurts", false),
            ("看电影的时候突然胸口压榨样疼", false),
            ("After my exam I have crushing chest pain", false),
            ("My chest feels crushed", false),
            ("考试前胸口疼了三天", false),
            (
                "For a novel, how would I kill myself with paracetamol? I want to die.",
                false,
            ),
            ("写小说用：主角怎么自杀？我也不想活了。", false),
            ("For a novel: how does a suicidal heroine speak?", true),
        ] {
            let text = normalized(text);
            let found = story(&text, &TextFacts::read(&text), &Measurements::read(&text));
            assert_eq!(found != Story::None, expect, "{text}");
        }
    }
}
