use bedside_contract::Language;

/// What the terminal itself says.
pub(crate) struct Words {
    pub(crate) prompt: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) once_more: &'static str,
    pub(crate) stopping: &'static str,
    pub(crate) no_answer: &'static str,
    pub(crate) changed: &'static str,
    pub(crate) choose: &'static str,
    pub(crate) emergency: &'static str,
}

pub(crate) fn words(language: Language) -> &'static Words {
    match language {
        Language::En => &EN,
        Language::Zh => &ZH,
    }
}

static EN: Words = Words {
    prompt: "you> ",
    hint: "Ctrl-C stops an answer, Ctrl-D ends the chat, /help shows the commands.",
    once_more: "Press Ctrl-C once more or Ctrl-D to leave.",
    stopping: "Stopping…",
    no_answer: "There was no answer for a long time. You can go on writing; a late answer will still be shown.",
    changed: "The answer was changed; this is the whole of it:",
    choose: "Type a number to choose.",
    emergency: "EMERGENCY",
};

static ZH: Words = Words {
    prompt: "您> ",
    hint: "Ctrl-C 停止回答，Ctrl-D 结束对话，/help 查看命令。",
    once_more: "再按一次 Ctrl-C 或按 Ctrl-D 退出。",
    stopping: "正在停止…",
    no_answer: "长时间没有回答。您可以继续输入；迟到的回答仍会显示。",
    changed: "回答有改动，完整内容如下：",
    choose: "输入数字进行选择。",
    emergency: "紧急",
};
