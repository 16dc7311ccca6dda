//! Doses that name no form and no unit of the usual list: "0.5 mL/kg", "one every other night", 1-0-1, b.d.,
//! 喷两下, "a pea-sized amount".

use super::{quantities::QUANTITIES, reading::Reading};
use crate::pattern::pattern;
use bedside_language::is_han;

// "15 mg per kilo", "10 mg/kg/dose", 每公斤0.5毫升: hyphens and slashes between letters are blanks here.
pattern!(
    BY_WEIGHT,
    r"[0-9.]+ ?(m ?g|mcg|ug|μg|g|ml|millilit(er|re)s?|milligrams?|grams?|mmol|iu|units?|毫克|微克|毫升|克|单位|滴) ?(/|per|a|for each|for every|每) ?(kg|kilo|kilogram|公斤|千克|dose|次)|[0-9.]+ ?(m ?g|mcg|ml|units?)( of [a-z]+)? (per|for each|a|/) kilo|[0-9.]+ ?(mg|mcg|ug|g|ml|iu|units?) (kg|kilos?|kilograms?)\b|每(公斤|千克|斤)(体重)?[^,。;]{0,8}([0-9]|[一二两三四五六七八九十半]+ ?(毫|微|克|滴|单位|片))|按(公斤|千克|体重)[^,。;]{0,8}[0-9一二两三四五六七八九十半]"
);
// Latin shorthand of prescriptions.
pattern!(
    SHORTHAND,
    r"\b(bid|tid|qid|tds|qds|bds|qhs|qod|b\.i\.d|t\.i\.d|q\.i\.d|b\.d\b|t\.d\.s|q\.d\.s|o\.d\.|q ?[0-9]{1,2} ?(h|hr|hrs|hours?)|sig ?:|[0-9/]+ ?tabs? po|po (bid|tid|qd|qn|q[0-9])|stat dose)\b|[0-9一二两半] ?(片|粒|毫克|mg|g|ml|tabs?),? ?(po,? ?)?(qn|qd|qm|hs|ac|pc|prn)\b|\bpo,? ?q[nd]\b|口服,? ?q[nd]\b"
);
// Morning, noon and evening: 1-0-1.
pattern!(SCHEME, r"(^|[^0-9.-])[0-4½](-[0-4½]){2,3}($|[^0-9-])");
// "one every other night", "two at bedtime": a number of nothing, at a time of day.
pattern!(
    NUMBER_AT_TIMES,
    r"(^|[^a-z0-9 ] ?|\b(take|taking|have|use|try|need|give|is|are|be|then|and|or|of|just|only|usually|about) )(half|an? half|one|two|three|four|five|six|ten|a couple|[0-9]+)( more| again| extra| of (them|these|those|it))? (every|each|per|a|in the|at|with|before|after|by|once|twice|daily|nightly|weekly|now|later|tonight|today|tomorrow|on) ?(other|second|third|day|night|morning|evening|week|noon|lunch|dinner|breakfast|supper|bed|meal|food|rising|waking|waiting|and|,|$|the (morning|evening))"
);
pattern!(
    SMALL_AMOUNT,
    r"\b(pea ?sized?|size of a pea|fingertip( unit)?|thin layer|thin film|dab|dollop|smear of|blob|ribbon|knob|pinch of|dash of|capful|cupful|dropperful|mouthful|handful|(thumb|pea|coin|almond|walnut|grape|bean|nail|finger) ?(tip|nail)? ?sized?|size of (a|your)|single (dose|gram|tablet|pill|capsule))\b|(豆|黄豆|米粒|指尖|硬币)(粒)?大小|薄薄(地)?(涂|抹|一层)|薄涂|一瓶盖|瓶盖的?量|一薄层|\b(litres?|liters?|l) of (saline|fluid|dextrose|ringer|glucose)|\b(bolus|infuse|infusion|drip) of [0-9]|\binfuse [0-9]|\b(take|use|taken|used|apply|inject|swallow)( [a-z]+){0,3} (thrice|twice)[.!]?$|\b(one|two|three|four|half) of (the|these|those|your) ([a-z]+ )?(ones|kind|white|blue|pink|red|yellow|green|big|small|strong)\b|间隔[^,。]{0,6}再[喷吸吃服用打滴]|一[周天月日][吃服用打喷涂抹][一两二三0-9]+次|\b[0-9]+ ?(ml|cc|l|litres?|liters?)( of)? (normal |isotonic )?(saline|ringer|dextrose)|\b(take|use|apply|repeat|inject|inhale|swallow)( it| them| this| these)?( again)?( up to| at most| no more than| about)? (two|three|four|five|six|eight|[0-9]+) times\b|\b(two|three|four|five|six|eight|ten|twelve|fifteen|twenty|[0-9]+) (drops|sprays|puffs|squirts|inhalations) (in|into|under|on|of the|each|every|per|a|now|twice|once|daily|before|after|with)\b|\b(once|twice|one|two|three|a) ?(sprays?|drops?|puffs?|squirts?|times)? (in|into|to|on|up|for) (each|both|every|one|your|the) (nostril|eye|ear|side|nose)"
);
pattern!(
    DOSE_WORD,
    r"\b(dose|doses|dosage|dosages|dosing|dosed|daily allowance|doses? (every|now|each|today|tonight|later|once|twice)|maximum amount|daily maximum|(number|amount) of (puffs|tablets|pills|drops|capsules|units|doses|spoons))\b|剂量|用量|药量|用法|每日总量|极量"
);
pattern!(
    NUMBER,
    r"[0-9]|\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|half|quarter|is one|of one|every (few |other )?(hours?|day|morning|night|evening|week)|one dose|another|doses? every)\b|[一二两三四五六七八九十半俩仨][片粒颗克毫微包袋支滴次回遍]|减半|半量"
);
// What numbers beside "dose" count when they are no dose.
pattern!(
    COUNTS_OTHERS,
    r"[0-9.]+ ?(-|to|至|到)? ?[0-9.]* ?(%|percent|°c|℃|degrees?|度|years?|months?|weeks?|days?|hours?|minutes?|岁|周|天|小时|分钟|个月)|\b(two|three|four|five|six|seven|eight|ten|twelve|twenty) (weeks?|days?|hours?|minutes?|months?|years?|kinds?|types?|things?)\b|\b(19|20)[0-9]{2}\b|\b[0-9]+ (over the counter|common|different|types|kinds|medicines|drugs|tips|steps|ways)|\b(120|911|999|112)\b|\b(type|stage|grade|vitamin [a-z]?) ?[0-9]+|[一二两三四五六七八九十]+(岁|周|天|小时|分钟|个月|年|种|类|项)"
);
// "Do not take two doses at once."
pattern!(
    WARNS_OF_DOUBLE,
    r"\b(dont|never|not|avoid|should not|cant|mustnt) (take |taking |use |give |double |doubling )?(a |the |two |double |2 )(missed )?doses?( at once| together| at the same time| to make up|$|\.)|不要(一次)?(加倍|补双份|吃双份|服双倍)|vaccin|疫苗"
);
pattern!(
    HAN_TAKES_OFTEN,
    r"(服|口服|内服|外用|外涂|涂|抹|擦|敷|含|吞|冲服|煎|喷|吸入|贴|塞|注射|打针|上药|滴)[^。;]{0,14}(每[天日晚早周]|一[天日周]|每隔|隔|早晚|早中晚|[0-9一二两三四六八十]+个?小时)[^,。;]{0,4}([0-9一二两三四五六俩仨]+ ?[次回遍顿张贴剂]|各?一[次回遍顿张])|(每[天日晚早周]|一[天日周]|每隔|隔|[0-9一二两三四六八十]+个?小时)[^。;]{0,8}(服|口服|内服|外用|涂|抹|擦药|含服|吞|喷|吸入|贴|塞|注射)[^。;]{0,4}([0-9一二两三四五六俩仨]+ ?[次回遍顿张贴剂片粒]|一[次回遍顿张])|(每[天日]|一[天日])[^。;]{0,3}吃[^。;]{0,3}([0-9一二两三四俩仨]+) ?[次回遍]"
);
pattern!(
    HAN_COUNTED_ACTS,
    r"(喷|按|揿|挤|吸|点|滴)(上|入|个)?([0-9一二两三四五六俩仨]+)(下|滴|揿|喷|泵)|(贴|换)(上)?([0-9一二两三四]+)(张|贴|片)|[一二两三四0-9]天(换|贴)一(贴|张|片)|早上?[0-9一二两三半][^,。;]{0,2}(中午?|午)[0-9一二两三半]|(首剂|负荷量|维持量|(首次|起始|负荷|维持)剂?量)[^,。;]{0,3}[0-9一二两三四五六七八九十百半]|(早上?|早晨|中午?|午|晚上?|睡前|饭后|饭前|临睡)[^,。;]{0,4}([0-9一二两三四半俩仨]|各一)(片|粒|颗|丸|包|袋|支)?,? ?(早上?|早晨|中午?|午|晚上?|睡前|饭后|饭前|临睡)[^,。;]{0,3}([0-9一二两三四半俩仨])"
);
pattern!(
    HAN_FORMS_ALONE,
    r"([0-9]+|[一二两三四五六七八九十半俩仨几]+)(~|至|到|-)?([0-9]+|[一二两三四五六七八九十半俩仨几]*)(片半|片|粒|丸|枚|揿|国际单位|个单位|单位|胶囊|毫克|微克)"
);
pattern!(
    NO_HAN_FORMS,
    r"片(区|红|皮|状|空白|地|云|林|黑|肉|叶|子|段|尿布|面包|姜|柠檬|奶|苹果|瓜|薯)|粒(米|豆|种|花生|坚果|葡萄|枣|扣子|大小)|丸子|片(卫生|护)|[几一两](片|粒)(树|雪|薄荷|饼干)|单位(换算|时间|面积|体积|工作|领导|酒精)|各单位|用人单位"
);
pattern!(
    UNITS,
    r"\b([0-9.]+|one|two|three|four|five|six|eight|ten|twelve|twenty|thirty|forty|fifty|hundred)( ?(-|to|or) ?[0-9a-z]+)? ?(extra |more )?units\b"
);
pattern!(
    NO_UNITS,
    r"alcohol|drink|wine|beer|blood|red cell|plasma|intensive|care unit|units? (per|/) ?(l|ml|lit)"
);
pattern!(
    SPOONS,
    r"\b(a|an|one|two|half|a half|[0-9½]+)( (small|level|heaped))? (teaspoons?|teaspoonfuls?|tablespoons?|tablespoonfuls?|tsps?|tbsps?|spoonfuls?|mils?|mls|droppers?)\b"
);
pattern!(
    FREQUENCY_OF_FORM,
    r"\b(inhalers?|relievers?|preventers?|puffers?|patch(es)?|cream|gel|ointment|lotion|spray|drops|syrup|mixture|powder|tablets?|pills?|capsules?|medicine|medication|antibiotics?|injection|suppository|lozenges?|sachet)\b"
);
pattern!(
    FREQUENCY,
    r"\b(once|twice|thrice|(one|two|three|four|five|six|several|[0-9]+) times?)( |$)(a|per|each|every|in|daily|weekly|nightly|through|over|during|after|before|with|$)|\bevery (one|two|three|four|five|six|eight|ten|twelve|twenty|thirty|forty|fifty|sixty|seventy|[0-9]+|few|couple|other|second|third|alternate)|\b(alternate|alternating) (days?|nights?)|\b(two|three|four|[0-9])x\b|\b(nightly|bedtime|hourly)\b"
);
pattern!(
    NOT_TAKEN,
    r"\b(dont|never|not|avoid|check|measure|wash|rinse|brush|walk|exercise|feed|gargle|compress|ice|(drink|of|warm|cold|salt|enough|more|your) water|moisturi[sz]\w+|emollient|sunscreen|sun cream|hours? after|leaflet|prescribed|as directed|doctor|pharmacist)\b"
);

pattern!(
    NOT_TAKEN_HAN,
    r"敷|尿布|纱布|敷料|润肤|保湿|防晒|牙膏|含漱|漱口|换药|水|测|量血|量体|量[一两三]?次|称|复查|翻身|刷牙|泡脚|散步|运动|按摩|热敷|冷敷|做操|锻炼|走路|坐|睡|休息|呼吸|喝水|通风|洗|疫苗|医生|医嘱|说明书"
);

// Amounts of nothing, as an answer of their own.
pattern!(
    AMOUNT_ALONE,
    r"^, ?[^,]{1,40} , ?[^,]{0,12}[0-9][0-9.]*( ?- ?[0-9.]+)? ?(ml|mg|mcg|g|iu|units?|tablets?|drops?|puffs?|毫升|毫克|微克|片|粒|滴|单位)\b|^, ?[^,]{1,40} , ?[^,]{0,12}[0-9.]+(毫升|毫克|微克|片|粒|滴|单位)|^(daily|each day|per day|every day|a day),? (one|two|three|four|[0-9]) times|^(about |approximately |around |约|大约|大概)?[0-9][0-9.,]*( ?(-|to|至|到) ?[0-9.,]+)? ?(ml|mg|mcg|g|iu|units?|cc|tablets?|pills?|drops?|puffs?|毫升|毫克|微克|克|片|粒|滴|单位|个单位|包|袋|支)[.。!]?$"
);
// Swallowed or put on: the water beside it is no food.
pattern!(
    HAN_SWALLOWS,
    r"兑|冲服|口服|服用|含服|吞服|内服|送服|煎服|外用|雾化|皮下|肌注|静脉|吸入"
);
// A number right beside a medicine or its form, in any writing.
pattern!(
    MEDICINE_NUMBER,
    r"\b(two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|ii|iii|iv|half an?|half of an?|a couple of|[0-9]+)( or (two|three|four|five|[0-9]+))?( (more|of|the|your|these|those|whole|small|big|white|sleeping|extra|full|strong|standard))* ?[\x{e000}\x{e001}]($|[^a-z]| (a|per|each|every|now|at|in|before|after|with|tonight|today|once|twice|daily|and|is|are|will|should|would|for)\b)|[\x{e000}\x{e001}] ?[:,-]? ?(x ?)?([0-9]|\b(two|three|four|half|a gram|one (now|each|every|at|in|with|before|after|per))\b)"
);
// Containers that count when a medicine is in them.
pattern!(
    CONTAINERS,
    r"([0-9]+|\b(a|one|two|three|four|half|several|a few|the whole|whole|half the|half a|the rest of the|all the)) (cups?|bottles?|glass(es)?|ounces?|oz|packs?|packets?|boxes|tubes?|bags?|vials?|jars?|shots?|gummies|strips?|syringes?|pens?|sheets?|blisters?)( full)? of\b|\b(take|swallow|eat|finish|use|drink|chew)( [a-z]+){0,2} (strip|bottle|box|pack|packet|blister|tube|sachet)\b|[吃喝服用完](完|掉|光)?(这|一|整|半|两)(整)?(板|盒|瓶|管|包|袋)|(兑|冲|化)[^,。]{0,5}[喝服]?[一二两半0-9]+(包|袋|支|片|粒)|[0-9一二两三四半]+(杯|瓶|盒|管|板|罐|碗|筒)"
);
pattern!(
    EACH_TIME_FORM,
    r"(每次|一次|每回|一回|每顿|一顿|每天|一天|早上|晚上)[吃服用喝打含涂抹]?([0-9一二两三四半俩仨]+)(支|片|粒|颗|丸|包|袋|瓶|喷|揿|滴|贴|剂|管)"
);
pattern!(
    HAN_TIMES_OF_MEDICINE,
    r"[吃服用打喂含涂抹擦喷滴贴][0-9一二两三四五六俩仨]+(次|回|遍|顿|下)|(一顿|每顿|一餐|每餐)[^,。]{0,4}[0-9一二两三四半]+(克|勺|粒|片|包)"
);
// A whole sentence that says no more than how often or up to what.
pattern!(
    HOW_OFTEN_ALONE,
    r"^(and |then |so |take |just |about |up to |at most |no more than |never more than |not more than |once |adults?:? ?|children:? ?)*(every|each|once|twice|thrice|(one|two|three|four|five|six|eight|[0-9]+)( or (two|three|four|[0-9]+))?( times?| x)?) (a|per|each|every|over|other|hours?|days?|one|two|three|four|five|six|eight|twelve|[0-9]+|night|morning|evening|day|week|daily|at most)( [a-z0-9]+){0,6}[.!]?$|^(adults?|children|kids|men|women|teenagers)( [a-z ]+)?:? ?(take |use |need )?([0-9]|\b(one|two|three|half)\b)[a-z0-9 ]*$|^(每|隔|间隔|一[天日]|早晚|早中晚)[^,。]{0,8}(小时|天|日|晚|次|回|遍)[^,。]{0,3}(,[^。]{0,10}(次|片|粒|克))?[。.]?$|^(start|begin) (at|with|on) [0-9]|\bgo up to [0-9]|\b(the|those|some) [0-9]+s\b"
);
pattern!(
    FREQUENCY_WORD,
    r"\b(frequency|applications?|dosing|intervals?|schedule)\b|频率|次数|间隔"
);

/// By weight, in the shorthand of prescriptions, or as an answer of its own.
pub(super) fn is_exact(reading: &Reading, medicine: bool) -> bool {
    let text = reading.text.as_str();
    BY_WEIGHT.is_match(text) && (medicine || !reading.diet)
        || SHORTHAND.is_match(text)
        || AMOUNT_ALONE.is_match(text)
        || SCHEME.is_match(text) && medicine
        || says_only_how_often(reading)
}

fn says_only_how_often(reading: &Reading) -> bool {
    let text = reading.text.as_str();
    !reading.diet
        && HOW_OFTEN_ALONE.is_match(text)
        && !NOT_TAKEN.is_match(text)
        && !NOT_TAKEN_HAN.is_match(text)
}

/// Judged with the quantities of [`super::dose`]; `medicine`: this sentence or one before it names one.
pub(super) fn gives(reading: &Reading, medicine: bool) -> bool {
    let text = reading.text.as_str();
    let han = text.contains(is_han);
    gives_in_either(reading, medicine)
        || han && gives_han(reading, medicine)
        || text.contains(|it: char| it.is_ascii_lowercase()) && gives_english(reading, medicine)
}

fn gives_in_either(reading: &Reading, medicine: bool) -> bool {
    let text = reading.text.as_str();
    if BY_WEIGHT.is_match(text) && (medicine || !reading.diet) {
        return true;
    }
    if SHORTHAND.is_match(text) || AMOUNT_ALONE.is_match(text) {
        return true;
    }
    if DOSE_WORD.is_match(text)
        && NUMBER.is_match(&COUNTS_OTHERS.replace_all(text, " "))
        && !WARNS_OF_DOUBLE.is_match(text)
    {
        return true;
    }
    if SCHEME.is_match(text) && (medicine || DOSE_WORD.is_match(text)) {
        return true;
    }
    if SMALL_AMOUNT.is_match(text) && (medicine || !reading.diet) {
        return true;
    }
    if medicine && CONTAINERS.is_match(text) && !NOT_TAKEN_HAN.is_match(text) {
        return true;
    }
    says_only_how_often(reading)
}

fn gives_english(reading: &Reading, medicine: bool) -> bool {
    let text = reading.text.as_str();
    if SPOONS.is_match(text) && (medicine || !reading.diet) {
        return true;
    }
    if UNITS.is_match(text) && !NO_UNITS.is_match(text) {
        return true;
    }
    if medicine
        && MEDICINE_NUMBER.is_match(&COUNTS_OTHERS.replace_all(&reading.marked, " "))
        && !WARNS_OF_DOUBLE.is_match(text)
    {
        return true;
    }
    let often =
        FREQUENCY.is_match(text) && (FREQUENCY_OF_FORM.is_match(text) || FREQUENCY_WORD.is_match(text));
    let at_times = !reading.diet && NUMBER_AT_TIMES.is_match(text) && !WARNS_OF_DOUBLE.is_match(text);
    (often || at_times) && !NOT_TAKEN.is_match(text)
}

fn gives_han(reading: &Reading, medicine: bool) -> bool {
    let text = reading.text.as_str();
    let other_form = || NO_HAN_FORMS.is_match(text);
    if medicine && MEDICINE_NUMBER.is_match(&COUNTS_OTHERS.replace_all(&reading.marked, " ")) {
        return true;
    }
    if medicine && HAN_TIMES_OF_MEDICINE.is_match(text) && !NOT_TAKEN_HAN.is_match(text) {
        return true;
    }
    if HAN_SWALLOWS.is_match(text) && QUANTITIES.counted_han.is_match(text) && !other_form() {
        return true;
    }
    if EACH_TIME_FORM.is_match(text) && !other_form() {
        return true;
    }
    if reading.diet {
        return false;
    }
    HAN_TAKES_OFTEN.is_match(text) && !NOT_TAKEN_HAN.is_match(text)
        || HAN_COUNTED_ACTS.is_match(text)
        || HAN_FORMS_ALONE.is_match(text) && !other_form()
}
