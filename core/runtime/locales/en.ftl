welcome = Hello, this is the information assistant of { $hospital }.
    I am a computer program (AI), not a doctor. I can explain common complaints and say how urgently and where to seek care.
    In an emergency do not wait for me: call { $emergency }.
consent-question = Before I answer I need your consent: what you write here is stored on the hospital's own computers and read by this program to answer you. { $model ->
        [outside] For the answer it is sent to an AI model outside the hospital.
       *[inside] {""}
    } { $operator ->
        [outside] The operator of this chat app can read it too.
       *[none] {""}
    } You can have it deleted here at any time with /delete. Children under 14 need a guardian's consent.
    Do you agree?
consent-yes = I agree
consent-no = No
consent-thanks = Thank you. What would you like to know?
consent-thanks-held = Thank you. About your question:
consent-refused = Understood: I will not answer and keep nothing but this choice. If you change your mind, write /start. In an emergency call { $emergency }.
welcome-back = Hello again. What would you like to know?
help = You can ask about complaints and common conditions in your own words.
    /new – start over, I forget what was said
    /stop – stop the answer that is being written
    /human – how to reach a person
    /language – choose 中文 or English
    /privacy – what is stored, and your rights
    /delete – delete this conversation
    In an emergency call { $emergency }.
help-plugin = /{ $name } – { $help }
privacy = What you write is kept on the hospital's own computers and is used only to answer you; it is not written to this program's logs. { $model ->
        [outside] For the answer it is sent to an AI model that others run outside the hospital.
       *[inside] An AI model that runs inside the hospital reads it; this program sends it to no outside service.
    } { $operator ->
        [outside] The operator of this chat app can read it as well.
       *[none] {""}
    }
    Your rights: see it (it is this conversation), have it deleted (/delete), withdraw consent (/delete does this too). Questions: { $contact }.
    After /delete these stay: { what-stays }
delete-question = Delete everything that was said here? This cannot be undone.
delete-yes = Delete everything
delete-no = Keep it
delete-done = Everything that was said in this conversation has been deleted here, your consent and your settings too.
    These stay: { what-stays }
delete-pending = One part of this program is not running just now; it deletes what it has noted as soon as it runs again.
what-stays = { $operator ->
        [outside] the copy in this chat app, which you can delete there;{" "}
       *[none] {""}
    }{ $model ->
        [outside] what the AI model outside the hospital may have kept;{" "}
       *[inside] {""}
    }{ $backups ->
        [dated] copies in the hospital's backups, for { $days } days at most;
       *[undated] copies in the hospital's backups until they expire;
    } and a record that this was deleted, without your name and without your words.
delete-kept = Nothing was deleted.
new-done = A new conversation: I no longer take into account what was said before. What would you like to know?
stop-done = Stopped.
stop-nothing = There is nothing to stop.
stopped-mark = (stopped)
stopped-for-emergency = I have stopped this answer. Please follow the emergency notice.
language-question = Which language shall I use?
language-done = I will answer in English.
language-auto = I will answer in the language that you write in.
language-auto-button = Same as I write
human = To speak with a person: { $contact }. In an emergency call { $emergency }.
human-contact-default = please call or visit the hospital's reception
unknown-command = I do not know the command { $name }. /help shows what I can do. In an emergency call { $emergency }.
unreadable = I can only read text so far. Please describe in words what it is about. In an emergency call { $emergency }.
empty-message = I received a message without words. Please write what it is about. In an emergency call { $emergency }.
queue-position = Many people are asking just now: { $position ->
        [one] one question is
       *[other] { $position } questions are
    } before yours. You need not do anything.
reply-by-number = Please answer with the number.
nothing-waits = Nothing is waiting for you. What would you like to know? In an emergency call { $emergency }.
still-working = I am still working on your answer …
search-down = I cannot look anything up just now, so I would rather not answer. Please ask me again in some minutes. If it is urgent, call the hospital; in an emergency call { $emergency }.
plugin-refused = A safety check of this service is not working just now, so I cannot answer. Please ask the hospital's staff: { $contact }. In an emergency call { $emergency }.
plugin-down = (A part of this service is not working just now: the answer may be less complete than usual.)
apology = I am sorry: I could not answer this message because of a technical fault. Please ask again in other words, or contact the hospital: { $contact }. In an emergency call { $emergency }.
no-room = I cannot begin new conversations just now because of a technical fault. Please contact the hospital: { $contact }. In an emergency call { $emergency }.
withheld = I cannot pass on the answer that was prepared, because it did not pass a safety check. Please ask a doctor or a pharmacist. In an emergency call { $emergency }.
no-doses = I do not give doses or prescriptions: please ask a doctor or pharmacist.
no-model = The language model is not available just now, so here is what our knowledge base says (in an emergency call { $emergency }):
abstain = I have no reliable information on that in my knowledge base, so I would rather not answer. I can help with questions about common complaints and conditions. In an emergency call { $emergency }.
abstain-medical = I have no reliable information on exactly that in my knowledge base, so I would rather not guess. Please have a doctor look at it. In an emergency call { $emergency }.
answers-off = Answers are switched off for now. To speak with a person: { $contact }. In an emergency call { $emergency }.
handoff = A person should answer this: { $contact }. In an emergency call { $emergency }.
passages-intro = This is what our knowledge base says (in an emergency call { $emergency }):
cut-short = (cut short: ask for more if you need it)
label = Written by AI for information; it does not replace a doctor.
