//! Numbers, units, forms and frequencies in every writing.

use std::sync::LazyLock;

use regex::Regex;

use crate::pattern::compile;

const ENGLISH_NUMBER: &str = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|half|quarter|couple|pair|dozen|several|few";
const HAN_DIGITS: &str = "零〇一二两三四五六七八九十百千万半几俩仨卅廿壹贰叁肆伍陆柒捌玖拾数";
const STRONG_FORM: &str = "tablets?|tabs?|pills?|capsules?|caps|caplets?|puffs?|suppositor(?:y|ies)|lozenges?|sachets?|ampoules?|ampules?|vials?|inhalations?|gelcaps?|softgels?|doses? of";
const WEAK_FORM: &str = "drops?|sprays?|units?|teaspoons?|teaspoonfuls?|tablespoons?|tsps?|tbsps?|spoons?|spoonfuls?|patch(?:es)?|scoops?|droppers?|injections?|shots?|applications?";
const HAN_FORM: &str = "个单位|片|粒|丸|滴|袋|支|瓶|喷|揿|包|小包|贴|颗|枚|单位|胶囊|勺|剂|口|针|克|毫升|u";
const MASS: &str = r"m[ .]?g|mgs|м[ .]?г|мкг|мл|mcg|ug|μg|µg|micro ?gr?ams?|micro ?grammes?|milli ?grams?|milli ?grammes?|毫克|微克|iu|i u|国际单位|international units?|万单位|万u|meq";
const VOLUME: &str = r"m ?l|millilit(?:er|re)s?|cc|毫升|g|gr|gm|grams?|grammes?|克|公克";

pub(super) struct Quantities {
    /// A number and a form that only medicines have: "two tablets".
    pub(super) counted: Regex,
    /// A number and a form that others have too: "two drops".
    pub(super) counted_weakly: Regex,
    /// "take a tablet", "have another".
    pub(super) a_form: Regex,
    /// "put a drop".
    pub(super) a_weak_form: Regex,
    pub(super) counted_han: Regex,
    /// 一次吃俩: the number's unit is not said.
    pub(super) each_time_han: Regex,
    pub(super) mass: Regex,
    pub(super) volume: Regex,
    /// "take two now".
    pub(super) bare_count: Regex,
    pub(super) often: Regex,
    /// Frequencies that are said of habits as well: daily, at bedtime.
    pub(super) sometime: Regex,
}

pub(super) static QUANTITIES: LazyLock<Quantities> = LazyLock::new(|| {
    let number = format!(
        r"(?:[0-9][0-9., /]*|\b(?:{ENGLISH_NUMBER})(?:[ -]+(?:(?:and|or|to|of|the|your|a|an|these|those|such) )*(?:{ENGLISH_NUMBER}))*\b|[{HAN_DIGITS}]+[来多几]?)"
    );
    let amount = format!(r"{number}(?: ?\([a-z0-9 ]{{1,16}}\))?(?: ?(?:-|to|or|至|到|或|~) ?{number})? ?");
    let times = format!(r"(?:once|twice|thrice|(?:{number}(?: ?(?:-|to|or) ?{number})? ?-?(?:x|times?)))");
    Quantities {
        counted: compile(&format!(
            r"{amount}(?:of (?:the |your |these |those )?)?(?:[a-z\x{{e000}}\x{{e001}}]+ ){{0,3}}(?:{STRONG_FORM})\b"
        )),
        counted_weakly: compile(&format!(
            r"{amount}(?:of (?:the |your )?)?(?:[a-z]+ ){{0,2}}(?:{WEAK_FORM})\b|[0-9] ?u\b"
        )),
        a_form: compile(&format!(
            r"\b(?:take|taking|have|having|swallow|try|trying|use|using|give|chew|inhale|add|put|place|insert|need|repeat|inject|get|dissolve|suck|sip|apply|dose is|amount is|start with)(?: [a-z]+){{0,3}} (?:a|an|another|one|the whole|a whole|an extra|a second|one more|a single)(?: [a-z]+){{0,3}} (?:{STRONG_FORM})\b"
        )),
        a_weak_form: compile(&format!(
            r"\b(?:take|taking|have|swallow|try|use|give|add|put|place|apply|spray|drip|need)(?: [a-z]+){{0,3}} (?:a|an|another|one)(?: [a-z]+){{0,2}} (?:{WEAK_FORM})\b"
        )),
        counted_han: compile(&format!(
            r"(?:[0-9][0-9.,/]*|[{HAN_DIGITS}]+[来多几]?)(?:[~至到或-]?(?:[0-9][0-9.]*|[{HAN_DIGITS}]+))? ?(?:{HAN_FORM}|片剂)|四分之[一二三](?:片|粒)"
        )),
        each_time_han: compile(&format!(
            r"(?:一次|每次|一回|每回|一顿|每顿)(?:只|就|先|再|各)?(?:要|可)?(?:吃|服|喝|用|打|含|服用|口服|塞|涂)?(?:[0-9][0-9.]*|[{HAN_DIGITS}]+)(?P<next>.?)"
        )),
        mass: compile(&format!(r"{amount}-?(?:{MASS})(?:$|[^a-z])")),
        volume: compile(&format!(r"{amount}-?(?:{VOLUME})(?:$|[^a-z])")),
        bare_count: compile(&format!(
            r"\b(?:take|have|swallow|chew|give|inhale)(?: (?:just|only|up to|no more than|about|him|her|your child|the child))* {number}(?: ?(?:-|to|or) ?{number})?(?:$| ?[,.;]| (?:now|and|then|in|every|each|at|before|after|tonight|more|with|a day|per|of|today|tomorrow|right|if)\b)"
        )),
        often: compile(&format!(
            r"\b{times}(?: ?(?:a|per|each|every|in a|/) ?(?:day|night|week|24 ?hours?|hour)| ?(?:daily|weekly|nightly))|\b(?:{number})? ?(?:x|times?) ?(?:/|a|per|each) ?day|\bevery {number}(?: ?(?:-|to|or) ?{number})? ?(?:hours?|hrs?|h|minutes?|mins?|days?)\b|\bevery (?:other|second|third) day|\bevery (?:hour|few hours|half hour)|\bhourly\b|\bq ?[0-9]+ ?(?:-[0-9]+ ?)?h|\b(?:b\.?i\.?d|t\.?i\.?d|q\.?i\.?d|q\.?d|p\.?r\.?n|b i d|t i d|q i d|q\.?o\.?d|q\.?h\.?s)\b|\bx ?[0-9]+\b|\b[0-9]+ ?x\b|(?:每|一|隔)(?:天|日|晚|早|周|星期)[^,。;]{{0,6}}(?:[0-9]+|[{HAN_DIGITS}]+)(?:[~至到-]?(?:[0-9]+|[{HAN_DIGITS}]))?(?:次|回|遍|顿|趟)|日(?:[0-9]|[一二两三四五六]) ?次|(?:每|隔)隔?(?:[0-9]+|[{HAN_DIGITS}]+)(?:[~至到-](?:[0-9]+|[{HAN_DIGITS}]))?个?(?:半)?(?:小时|钟头|时辰)|(?:[0-9]+|[{HAN_DIGITS}]+)个?(?:小时|钟头)(?:后)?[吃服用喂打]?(?:一次|1次|一回|可?再|可?重复)|隔天|每日一剂|早中晚|早晚各|早晨?[^,。]{{0,4}}晚上?各|一日(?:三|两|四)餐"
        )),
        sometime: compile(
            r"\bdaily\b|\bnightly\b|\bper day\b|\b(?:each|every) (?:day|night|morning|evening|meal|week)|\bat (?:bedtime|night)|\b(?:before|at|near) bed(?:time)?\b|\bmornings?(?: and| or|,)(?: [a-z]+){0,2} (?:evening|night|bedtime|afternoon)s?|\b(?:after|before|with) (?:breakfast|dinner|lunch|supper|meals|each meal|every meal|food)|\b(?:in the|one) (?:morning|evening)|\bthree times\b|\btwice\b|每[天日晚早]|早晚|早饭|饭前|饭后|餐前|餐后|睡前|三餐|随餐|空腹|连[吃服用]|疗程|晚上|早上",
        ),
    }
});
