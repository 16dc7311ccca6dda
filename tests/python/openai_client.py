"""The official OpenAI client against a running bot: `openai_client.py http://127.0.0.1:8080/v1 KEY`.

Ends with 0 if the bot is what the client expects of a server, with a traceback otherwise.
"""

import sys

import openai
from openai import OpenAI

BASE_URL, KEY = sys.argv[1:3]
LIMIT = 16
QUESTION = [
    {"role": "system", "content": "You answer in one sentence."},
    {"role": "user", "content": [{"type": "text", "text": "Name three fruits that a child may eat."}]},
]


def client(key):
    return OpenAI(base_url=BASE_URL, api_key=key, max_retries=0, timeout=120)


def names_its_models(bot):
    models = [it.id for it in bot.models.list()]
    assert models, "no model is listed"
    assert bot.models.retrieve(models[0]).id == models[0]
    return models[0]


def check_usage(usage):
    assert usage.prompt_tokens > 0 and 0 < usage.completion_tokens <= LIMIT, usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage
    assert 0 <= usage.prompt_tokens_details.cached_tokens <= usage.prompt_tokens, usage


def completes(bot, model, seed):
    answer = bot.chat.completions.create(model=model, messages=QUESTION, max_tokens=LIMIT, seed=seed)
    assert answer.id.startswith("chatcmpl-") and answer.object == "chat.completion", answer
    assert answer.model == model, answer
    [choice] = answer.choices
    assert choice.message.role == "assistant" and choice.message.content, answer
    assert choice.finish_reason in ("stop", "length"), answer
    check_usage(answer.usage)
    return choice.message.content, choice.finish_reason


def streams(bot, model, seed):
    chunks = list(bot.chat.completions.create(
        model=model, messages=QUESTION, max_completion_tokens=LIMIT, seed=seed, stream=True,
        stream_options={"include_usage": True}))
    *answer, last = chunks
    assert answer[0].choices[0].delta.role == "assistant", answer[0]
    assert all(it.usage is None for it in answer) and last.choices == [], last
    check_usage(last.usage)
    reasons = [it.choices[0].finish_reason for it in answer]
    assert reasons[:-1] == [None] * (len(answer) - 1), reasons
    return "".join(it.choices[0].delta.content or "" for it in answer), reasons[-1]


def hangs_up(bot, model):
    with bot.chat.completions.create(model=model, messages=QUESTION, stream=True) as stream:
        next(iter(stream))


def refuses(expected, code, ask):
    try:
        ask()
    except expected as error:
        assert error.code == code, error
        assert error.message, error
        return
    raise AssertionError(f"{expected.__name__} was expected")


def main():
    bot = client(KEY)
    model = names_its_models(bot)
    first = completes(bot, model, seed=7)
    assert completes(bot, model, seed=7) == first, "the same seed gives the same answer"
    assert streams(bot, model, seed=7) == first, "a stream says the same"
    assert completes(bot, model, seed=8)
    hangs_up(bot, model)

    def ask(**more):
        return bot.chat.completions.create(**{"model": model, "messages": QUESTION, "max_tokens": 1, **more})

    ask(extra_body={"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1, "something_unknown": True})
    ask(logit_bias={"1": -100}, stop=["\n"], temperature=0, frequency_penalty=0.5, user="ward 3")
    refuses(openai.AuthenticationError, "invalid_api_key", lambda: client("wrong").models.list())
    refuses(openai.NotFoundError, "model_not_found", lambda: ask(model="no-such-model"))
    refuses(openai.NotFoundError, "model_not_found", lambda: bot.models.retrieve("no-such-model"))
    refuses(openai.BadRequestError, "unsupported_parameter", lambda: ask(n=2))
    refuses(openai.BadRequestError, "invalid_value", lambda: ask(temperature=3))
    refuses(openai.BadRequestError, "context_length_exceeded",
            lambda: ask(messages=[{"role": "user", "content": "word " * 50_000}]))


main()
