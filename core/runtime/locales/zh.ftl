welcome = 您好，这里是{ $hospital }的信息助手。
    我是计算机程序（人工智能），不是医生。我可以解释常见的不适，并告诉您该多快、去哪里就医。
    如遇紧急情况，请不要等我回复，立即拨打 { $emergency }。
consent-question = 在回答之前，需要征得您的同意：您写的内容会保存在医院自己的计算机上，并由本程序读取以便回答您。{ $model ->
        [outside] 为了回答您，内容会发送给医院外部的人工智能模型。
       *[inside] {""}
    }{ $operator ->
        [outside] 本聊天软件的运营方也能看到这些内容。
       *[none] {""}
    }您可以随时用 /delete 删除这里保存的内容。未满 14 周岁须由监护人同意。
    您同意吗？
consent-yes = 同意
consent-no = 不同意
consent-thanks = 谢谢。请问您想了解什么？
consent-thanks-held = 谢谢。关于您的问题：
consent-refused = 明白了：我不会作答，除这一选择外也不保留任何内容。如果您改变主意，请发送 /start。紧急情况请拨打 { $emergency }。
welcome-back = 您好，又见面了。请问您想了解什么？
help = 您可以用自己的话询问身体不适和常见疾病。
    /new – 重新开始，忘掉之前的内容
    /stop – 停止正在写的回答
    /human – 如何联系人工
    /language – 选择中文或 English
    /privacy – 保存了什么，您有哪些权利
    /delete – 删除本次对话
    紧急情况请拨打 { $emergency }。
help-plugin = /{ $name } – { $help }
privacy = 您写的内容保存在医院自己的计算机上，只用来回答您，不会写入本程序的日志。{ $model ->
        [outside] 为了回答您，内容会发送给由他人在医院外部运行的人工智能模型。
       *[inside] 读取它的人工智能模型运行在医院内部，本程序不会把它发送给任何外部服务。
    }{ $operator ->
        [outside] 本聊天软件的运营方也能看到这些内容。
       *[none] {""}
    }
    您的权利：查看（就是本对话）、删除（/delete）、撤回同意（/delete 同时撤回）。如有疑问：{ $contact }。
    使用 /delete 之后仍会保留的有：{ what-stays }
delete-question = 要删除这里的全部内容吗？删除后无法恢复。
delete-yes = 全部删除
delete-no = 保留
delete-done = 本对话的全部内容已在此删除，您的同意和设置也已删除。
    仍会保留的有：{ what-stays }
delete-pending = 本程序有一部分暂时没有运行；恢复运行后，它会立即删除自己记下的内容。
what-stays = { $operator ->
        [outside] 本聊天软件里的副本（您可以在那里自行删除）；
       *[none] {""}
    }{ $model ->
        [outside] 医院外部的人工智能模型可能保留的内容；
       *[inside] {""}
    }{ $backups ->
        [dated] 医院备份中的副本，最多保留 { $days } 天；
       *[undated] 医院备份中的副本，直到备份过期；
    }以及一条删除记录，其中没有您的姓名，也没有您写的内容。
delete-kept = 没有删除任何内容。
new-done = 新的对话开始了：我不再考虑之前的内容。请问您想了解什么？
stop-done = 已停止。
stop-nothing = 现在没有需要停止的回答。
stopped-mark = （已停止）
stopped-for-emergency = 我已停止这个回答。请按紧急提示去做。
language-question = 您希望我用哪种语言？
language-done = 我会用中文回答。
language-auto = 您用什么语言写，我就用什么语言回答。
language-auto-button = 跟随我的语言
human = 联系人工：{ $contact }。紧急情况请拨打 { $emergency }。
human-contact-default = 请致电或前往医院服务台
unknown-command = 我不认识命令 { $name }。发送 /help 查看我能做什么。紧急情况请拨打 { $emergency }。
unreadable = 目前我只能看懂文字。请用文字描述一下情况。紧急情况请拨打 { $emergency }。
empty-message = 我收到了一条没有文字的消息。请写下您想问的内容。紧急情况请拨打 { $emergency }。
queue-position = 现在咨询的人较多：您前面还有 { $position } 个问题，请稍候，无需其他操作。
reply-by-number = 请回复数字。
nothing-waits = 没有待发送的内容。请问您想了解什么？紧急情况请拨打 { $emergency }。
still-working = 正在思考您的问题，请稍候……
search-down = 此刻我无法查阅知识库，因此不便回答，请几分钟后再问我。如果着急，请致电医院；紧急情况请拨打 { $emergency }。
plugin-refused = 本服务的一项安全检查暂时不可用，因此我无法回答。请咨询医院工作人员：{ $contact }。紧急情况请拨打 { $emergency }。
plugin-down = （本服务的一部分暂时不可用，回答可能不如平时完整。）
apology = 很抱歉，由于技术故障，我没能回答这条消息。请换个说法再问一次，或联系医院：{ $contact }。紧急情况请拨打 { $emergency }。
no-room = 由于技术故障，目前暂时无法接待新的咨询。请联系医院：{ $contact }。紧急情况请拨打 { $emergency }。
withheld = 准备好的回答没有通过安全检查，因此不能发给您。请咨询医生或药师。紧急情况请拨打 { $emergency }。
no-doses = 我不提供用药剂量，也不开处方：请咨询医生或药师。
no-model = 语言模型暂时不可用，以下是知识库中的内容（紧急情况请拨打 { $emergency }）：
abstain = 我的知识库里没有这方面的可靠信息，所以不便回答。您可以问我常见的不适和疾病。紧急情况请拨打 { $emergency }。
abstain-medical = 我的知识库里没有正好针对这一点的可靠信息，所以不便猜测。请让医生看一看。紧急情况请拨打 { $emergency }。
answers-off = 目前暂停回答问题。联系人工：{ $contact }。紧急情况请拨打 { $emergency }。
handoff = 这个问题应由人工回答：{ $contact }。紧急情况请拨打 { $emergency }。
passages-intro = 知识库中的相关内容如下（紧急情况请拨打 { $emergency }）：
cut-short = （内容较长，已截短；如需更多请继续问）
label = 本回答由人工智能生成，仅供参考，不能代替医生诊断。
