//! How much of a medicine, and how often.

use super::{amounts, quantities::QUANTITIES, reading::Reading, words::NAMED};
use crate::pattern::pattern;

pattern!(
    TAKES,
    r"\b(need|needs|get|gets|try|give|has|have|can have|drink|take|takes|taken|taking|dose|doses|dosage|inject|injected|apply|applied|administer|administered|give|given|gives|giving|swallow|use|used|chew|inhale|put|place|insert|start|started|starts)\b|服|口服|吃|用量|剂量|注射|含|外用|涂|抹|给药|喂|塞|打|吸|水煎|嚼|皮下|不超过|最多|至多|每次|一次|每日一剂|再来"
);
pattern!(
    NOT_A_FORM,
    r"[0-9一二两三四五六几半] ?(小)?(片|袋|瓶|包|粒|颗|勺|支|滴|口|克|毫升)[\p{Han}]{0,2}(面包|姜|柠檬|奶|水果|药店|叶|肉|菜|水|糖|枣|饼干|盐|油|豆|瓜|果|茶|烟|酒|创可贴|汗|眼泪|血|饭|粥|汤|气|痰)|(抽|吸)[^,。]{0,4}(支|根|包)烟|疫苗|胎|孕|\b(teaspoons?|tablespoons?|drops?|units?|spoons?|spoonfuls?|tsp|tbsp) of (salt|honey|sugar|water|oil|vinegar|lemon|juice|blood|alcohol|baking|red|packed|olive)|\bblood units|\balcohol|\bunits? [0-9]|\b(intensive|care|emergency|stroke|burns?) unit|in blood pressure|\bvaccin|\bflu shot"
);
pattern!(
    LABORATORY,
    r"(m ?g|μg|ug|µg|g|iu|miu|μiu|mcg|ng|pg|mmol|μmol|meq|u|units?|mm|grams?|milligrams?) ?(/|per) ?(d ?l|l|lit(er|re)|decilit(er|re)|ml|24 ?h)\b|毫克每分升|毫克/分升|毫克/升|毫克每升|克/升|克每升|/ ?(l|dl|升|分升)\b"
);
pattern!(
    ACTIVITY,
    r"\b(check|checks|checked|measure|measures|measured|monitor|test|tested|wash|bathe|rinse|walk|exercise|exercises|brush|visit|blood sugar|blood pressure is|sugar level|temperature|pulse|break|rest|bath|shower|steps?|readings?|urinate|bleed|vomit|feed|turn|position|meals?|stretch|breath|breathe|gargle|warm water|compress|ice|sit|sleep|bowel|eat)\b|测|监测|复查|检查|量血压|刷牙|洗|漱口|泡脚|运动|散步|热敷|冷敷|冰敷|坐浴|翻身|透析|拍背|排便|小便|大便|腹泻|呕吐|发作|开窗|通风|饮水|喝水"
);
pattern!(
    NAMELESS,
    r"\b(take|taking|use|using|give|apply|repeat|inject|swallow|inhale|have|taken|used) (it|them|this|these|that|those|your (dose|shot))\b|\b(it|they|this) (is|are|should be|can be|must be|may be|is usually|is normally) ?([a-z]+ )?(taken|given|used|applied|injected|repeated)\b|\brepeat (the|this) (dose|treatment)"
);
pattern!(
    ORDERS_TAKING,
    r"\b(take|use|give|apply|inject|swallow|inhale|put|start|taken|given|applied|try)\b|服|吃|注射|打|含|涂|抹|喝|用"
);
// What the numbers beside a medicine mean when they are no dose.
pattern!(
    OTHER_NUMBERS,
    r"\[[0-9, -]+\]|\b(19|20)[0-9]{2}(-[0-9]{2})?\b|[0-9.]+ ?(-|to|至|到)? ?[0-9.]* ?(%|percent|°c|°f|° ?c|degrees?|度|℃|years?|months?|weeks?|days?|hours?|minutes?|year old|岁|周岁|年|个?月|周|天|日|个?小时|分钟|倍|成|例|人|种|类|型|级|期|women|men|people|patients|adults|children|cases|types?|kinds?|groups?|stages?|phases?|mm ?hg|mmhg|毫米汞柱|bpm|kg/m|mmol|μmol|ng|ml/min|kcal|千卡)|\b(over|under|below|above|aged?|older than|younger than|than|at|type|stage|grade|phase|vitamin [a-z]|vitamin|b|d|c|k|omega|glp|sglt|h|cox|covid|cyp|il|pcsk|alpha|beta|p|icd|hiv|tnf|category|class|factor) ?-?[0-9]+\b|\b(call|dial|拨打|打) ?[0-9]+|\b(120|911|999|112|110|119|12320)\b|[0-9]+ ?/ ?[0-9]+ ?(mm)?|\b[0-9]+ in [0-9]+|\b[0-9]+ out of|\b[a-z][0-9]{1,2}(\.[0-9]+)?\b|维生素 ?[a-z] ?[0-9]*|第 ?[0-9]+|[0-9] ?型|等? ?[0-9]+ ?(种|类|项|步|点)|不足[0-9]+|超过[0-9]+岁"
);
// Numbers that are part of a name.
pattern!(
    KINDS,
    r"\b(type|stage|grade|phase|class|covid|omega)[ -]?[0-9]+\b|[0-9] ?型"
);
pattern!(
    A_DAY,
    r"\b(a|per|each|every) (day|night|morning|evening)\b|\bdaily\b|\bmeals?\b"
);
// "two now, two later".
pattern!(
    COUNTED_TIMES,
    r"\b(one|two|three|four|half|[0-9]) (now|later|tonight|tomorrow|more|at once|in the|before|after|every)\b"
);
// What food holds is told in milligrams, too.
pattern!(
    NUTRIENT,
    r"\b(caffeine|calcium|sodium|cholesterol|salt|potassium|iron|magnesium|proteins?|fib(er|re)|sugars?|fats?|carbs?|carbohydrates?|alcohol|eggs?|milk|food|diet|urine|iodine)\b|钙|钠|盐|胆固醇|咖啡因|蛋白|铁|糖|酒精|膳食|食物|尿|碘|镁|钾|脂肪"
);
pattern!(DIGIT, r"[0-9]");
pattern!(TAKEN_ALREADY, r"\b(how many|did you|have you)\b");

/// A number with a unit or a form that is a medicine's: what no reader is asked about.
pub(super) fn is_exact(reading: &Reading) -> bool {
    if reading.question && asks_back(&reading.text) {
        return false;
    }
    let text = &*KINDS.replace_all(&reading.text, " ");
    let quantities = &*QUANTITIES;
    let (medicine, food) = (reading.has_medicine(), NOT_A_FORM.is_match(text));
    let laboratory = LABORATORY.is_match(text);
    quantities.counted.is_match(text)
        || quantities.a_form.is_match(text)
        || quantities.mass.is_match(text) && !laboratory && (medicine || !NUTRIENT.is_match(text))
        || medicine && quantities.counted_weakly.is_match(text) && !food
        || medicine && quantities.counted_han.is_match(text) && !food && !laboratory
        || medicine && quantities.volume.is_match(text) && !laboratory
        || amounts::is_exact(reading, medicine)
}

/// What may be a dose: evidence for the reader of answers.
pub(super) fn gives(reading: &Reading) -> bool {
    !(reading.question && asks_back(&reading.text))
        && (gives_beside(reading, reading.has_medicine(), reading.names_medicine())
            || amounts::gives(reading, reading.has_medicine()))
}

/// The same where a sentence before may have named the medicine.
pub(super) fn gives_beside(reading: &Reading, medicine: bool, named: bool) -> bool {
    let text = &*KINDS.replace_all(&reading.text, " ");
    let quantities = &*QUANTITIES;
    let takes = TAKES.is_match(text);
    let often = quantities.often.is_match(text);
    if quantities.counted.is_match(text) || quantities.a_form.is_match(text) {
        return true;
    }
    let food = NOT_A_FORM.is_match(text);
    if quantities.a_weak_form.is_match(text) && !food && (medicine || !reading.diet) {
        return true;
    }
    if quantities.counted_weakly.is_match(text)
        && !food
        && (medicine || (takes || A_DAY.is_match(text)) && !reading.diet)
    {
        return true;
    }
    if quantities.counted_han.is_match(text)
        && !food
        && !LABORATORY.is_match(text)
        && (medicine || (takes || often) && !reading.diet)
    {
        return true;
    }
    if !food
        && (medicine || !reading.diet && !ACTIVITY.is_match(text))
        && quantities
            .each_time_han
            .captures_iter(text)
            .filter_map(|it| it.name("next"))
            .any(|next| {
                !matches!(
                    next.as_str(),
                    "分" | "小"
                        | "秒"
                        | "天"
                        | "杯"
                        | "次"
                        | "步"
                        | "碗"
                        | "口"
                        | "个"
                        | "组"
                        | "遍"
                        | "下"
                        | "米"
                        | "公"
                        | "周"
                        | "年"
                        | "月"
                        | "到"
                        | "至"
                        | "-"
                        | "."
                        | "般"
                        | "定"
                        | "起"
                        | "些"
                        | "样"
                        | "直"
                        | "时"
                )
            })
    {
        return true;
    }
    if quantities.mass.is_match(text) && !LABORATORY.is_match(text) && (medicine || !NUTRIENT.is_match(text))
    {
        return true;
    }
    if quantities.volume.is_match(text)
        && !LABORATORY.is_match(text)
        && (medicine || !reading.diet && (takes || often || A_DAY.is_match(text)))
    {
        return true;
    }
    if quantities.bare_count.is_match(text) && !reading.diet && !ACTIVITY.is_match(text) {
        return true;
    }
    let activity = ACTIVITY.is_match(text);
    if often && !activity && (medicine || NAMELESS.is_match(text) || quantities.each_time_han.is_match(text))
    {
        return true;
    }
    if often && medicine && ORDERS_TAKING.is_match(text) && !MEASURES.is_match(text) {
        return true;
    }
    if quantities.sometime.is_match(text)
        && (NAMELESS.is_match(text) && !activity || medicine && orders(reading))
    {
        return true;
    }
    if named && COUNTED_TIMES.is_match(text) && !activity {
        return true;
    }
    named && DIGIT.is_match(&OTHER_NUMBERS.replace_all(text, " "))
}

pattern!(
    MEASURES,
    r"\b(check|checks|measure|monitor|test|brush|wash|rinse|walk|exercise)\b|测|监测|复查|检查|刷牙|洗|漱口|运动"
);
pattern!(
    ORDER,
    r"^(please |then |now |just |also |and |simply )*(take|use|give|apply|inject|swallow|inhale|put|start|try)\b|\byou (should|can|could|may|must|need to|might|have to) (also |then )?(take|use|give|apply|inject|swallow|inhale|put|start|try)\b|\b(should|must|is|are) (usually |normally |best )?(be )?(taken|given|applied|injected)\b"
);
pattern!(
    NEVER,
    r"\b(dont|never|not|avoid)\b|不要|勿|不能|避免|按时|说明书|遵医嘱|医生|医嘱"
);
pattern!(
    ORDER_HAN,
    r"(吃|服|打|注射|含|涂|抹|口服|用)[^,。]{0,6}|\x{e000}[^,。]{0,4}(每|早|晚|饭|睡|三餐|随餐)"
);

fn orders(reading: &Reading) -> bool {
    if reading.text.contains(bedside_language::is_han) {
        return ORDER_HAN.is_match(&reading.marked)
            && reading.marked.contains(NAMED)
            && !NEVER.is_match(&reading.text);
    }
    reading
        .clauses
        .iter()
        .any(|it| ORDER.is_match(it) && !NEVER.is_match(it))
        && !reading.text.contains("prescribed")
}

fn asks_back(text: &str) -> bool {
    TAKEN_ALREADY.is_match(text)
        || text.contains(['几', '吗', '您', '你'])
        || text.starts_with("are ")
        || text.starts_with("do ")
}
