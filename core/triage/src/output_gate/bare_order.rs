//! A change of a medicine in so few words that no reader can tell: 加量, "Double it."

use super::reading::Reading;
use crate::pattern::pattern;

pattern!(
    ORDER,
    r"^(请|就|可以|直接|先)?(加量|减量|停药|换药|加倍|减半|停用|停服|断药)(吧|了|就行|即可|就好)?[。!,. ]*$|^(please |just |then )?(stop|double|halve|skip|quit|pause|increase|reduce|triple) (it|them|(the|your|this|that|each|one|a) (next )?(dose|doses|tablets?|pills?|medicines?|medication|meds|drops|inhaler|injection))[.! ]*$"
);

pub(super) fn is_given(reading: &Reading) -> bool {
    !reading.question && ORDER.is_match(reading.text.trim())
}
