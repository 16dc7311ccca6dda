const WORDS = {
  en: {
    skip: "To the message field",
    subtitle: "AI health assistant · does not replace a doctor",
    actions: "Actions",
    new: "New",
    newLong: "Start a new conversation",
    help: "Help",
    helpLong: "Show help",
    other: "中文",
    otherLong: "切换到中文",
    emergencyTitle: "This may be an emergency",
    close: "Close this notice",
    call: "Call",
    conversation: "Conversation",
    typing: "Writing an answer…",
    down: "↓ New messages",
    stop: "Stop",
    inputLabel: "Your message",
    placeholder: "Describe what troubles you…",
    send: "Send",
    fine: "In an emergency, call {number} at once.",
    privacy: "Privacy",
    forget: "Leave this computer",
    forgetAsk: "Forget this conversation on this computer? It cannot be opened here again.",
    deleteAsk: "Delete what the hospital has stored of it, too? OK: delete. Cancel: keep it. (Copies in backups stay until they expire, and a record without your words.)",
    reconnecting: "Reconnecting…",
    offline: "You are offline. Messages are sent as soon as you are back.",
    sending: "Sending…",
    waiting: "Not sent yet, trying again…",
    refused: "Not sent.",
    again: "Try again",
    edit: "Edit",
    fresh: "New conversation",
    you: "You",
    bot: "Assistant",
    departments: "Department",
    sources: "Sources",
    dispositions: {
      emergency: "Emergency: get help now",
      "same-day": "See a doctor today",
      "out-patient": "Make an appointment",
      "self-care": "Care at home",
    },
  },
  zh: {
    skip: "跳到输入框",
    subtitle: "AI 健康助手 · 不能代替医生",
    actions: "操作",
    new: "新对话",
    newLong: "开始新对话",
    help: "帮助",
    helpLong: "查看帮助",
    other: "EN",
    otherLong: "Switch to English",
    emergencyTitle: "可能是紧急情况",
    close: "关闭此提示",
    call: "拨打",
    conversation: "对话",
    typing: "正在撰写回答…",
    down: "↓ 新消息",
    stop: "停止",
    inputLabel: "您的消息",
    placeholder: "请描述您的不适…",
    send: "发送",
    fine: "如遇紧急情况，请立即拨打 {number}。",
    privacy: "隐私",
    forget: "离开这台电脑",
    forgetAsk: "要在这台电脑上忘记本次对话吗？之后无法在此重新打开。",
    deleteAsk: "是否同时删除医院保存的内容？按“确定”删除，按“取消”保留。（备份中的副本会保留到备份过期，另有一条不含您所写内容的删除记录。）",
    reconnecting: "正在重新连接…",
    offline: "网络已断开，恢复后会自动发送。",
    sending: "发送中…",
    waiting: "尚未发送，正在重试…",
    refused: "未发送。",
    again: "重试",
    edit: "修改",
    fresh: "新对话",
    you: "您",
    bot: "助手",
    departments: "建议科室",
    sources: "资料来源",
    dispositions: {
      emergency: "紧急：请立即求助",
      "same-day": "今天就医",
      "out-patient": "预约门诊",
      "self-care": "居家护理",
    },
  },
};

/** What this browser keeps; it may be forbidden to keep anything. */
function recall(storage, key) {
  try {
    return window[storage].getItem(key);
  } catch {
    return null;
  }
}

function keep(storage, key, value) {
  try {
    if (value === null) window[storage].removeItem(key);
    else window[storage].setItem(key, value);
  } catch {
    // Private browsing: the page works without.
  }
}

function firstLanguage() {
  const chosen = recall("localStorage", "bedside-language");
  if (chosen in WORDS) return chosen;
  const wanted = navigator.languages?.length ? navigator.languages : [navigator.language || "en"];
  return wanted.map((it) => it.slice(0, 2).toLowerCase()).find((it) => it in WORDS) ?? "en";
}
