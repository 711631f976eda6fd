"""Calls an API with the Python packages of OpenAI and Anthropic and prints what they read, as JSON.

Usage: call_sdks.py URL CREDENTIAL MODEL
The packages validate every answer and every event against their own types (_strict_response_validation).
"""

import json
import sys

import anthropic
import openai

url, credential, model = sys.argv[1:]
open_ai = openai.OpenAI(
    base_url=f"{url}/v1", api_key=credential, max_retries=0, _strict_response_validation=True
)
claude = anthropic.Anthropic(
    base_url=url, auth_token=credential, max_retries=0, _strict_response_validation=True
)
prompt = [{"role": "user", "content": "How are tokens counted?"}]


def sample(switches):
    return {"x-sample": switches}


def chat(switches, **more):
    return open_ai.with_options(max_retries=more.pop("max_retries", 0)).chat.completions.create(
        model=f"{model}-chat", messages=prompt, extra_headers=sample(switches), **more
    )


def chat_stream(switches):
    chunks = list(chat(switches, stream=True, stream_options={"include_usage": True}))
    return {
        "text": "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices),
        "output": chunks[-1].usage.completion_tokens,
    }


def responses(switches, stream):
    answer = open_ai.responses.create(
        model=f"{model}-responses", input="Hello", stream=stream, extra_headers=sample(switches)
    )
    if stream:
        *_, last = answer
        answer = last.response
    return {"text": answer.output_text, "output": answer.usage.output_tokens}


def messages(switches, stream):
    parameters = dict(
        model=f"{model}-messages", max_tokens=100, messages=prompt, extra_headers=sample(switches)
    )
    if stream:
        with claude.messages.stream(**parameters) as events:
            answer = events.get_final_message()
    else:
        answer = claude.messages.create(**parameters)
    return {"text": answer.content[0].text, "output": answer.usage.output_tokens}


def leave(stream):
    for _ in stream:
        break
    stream.close()


def failure(call):
    try:
        call()
    except (openai.OpenAIError, anthropic.AnthropicError) as error:
        return type(error).__name__
    return None


whole = chat("tokens=5")
leave(chat("endless, pause=5", stream=True))
print(
    json.dumps(
        {
            "chat": {"text": whole.choices[0].message.content, "output": whole.usage.completion_tokens},
            "chat stream": chat_stream("tokens=5"),
            "responses": responses("tokens=5", False),
            "responses stream": responses("tokens=5", True),
            "messages": messages("tokens=5", False),
            "messages stream": messages("tokens=5", True),
            "embeddings": len(
                # The default, base64, does not pass the package's own validation.
                open_ai.embeddings.create(
                    model=f"{model}-embeddings", input="Hello", dimensions=8, encoding_format="float"
                )
                .data[0]
                .embedding
            ),
            "retried": chat(
                "status=429, retry-after=1, times=1, tokens=2", max_retries=1
            ).usage.completion_tokens,
            "errors": [
                failure(lambda: chat("status=429, retry-after=1")),
                failure(lambda: chat("status=500")),
                failure(lambda: chat_stream("tokens=9, fail-after=3")),
                failure(lambda: messages("status=529", False)),
                failure(lambda: messages("tokens=9, fail-after=3", True)),
            ],
            "broken": failure(lambda: chat("die=0")),
        }
    )
)
