"""The official OpenAI package for Python, unmodified: only base URL and key change."""
import base64
import os
import openai

base, key = os.environ["BASE"], os.environ["KEY"]
client = openai.OpenAI(base_url=f"{base}/api/image-gen/v1", api_key=key)

models = [model.id for model in client.models.list()]
assert "ideogram/ideogram-3" in models, models
assert client.models.retrieve("ideogram/ideogram-3").owned_by == "ideogram"

picture = client.images.generate(prompt="a lighthouse", model="ideogram/ideogram-3", size="1024x1024")
assert picture.data[0].url.startswith("http"), picture

encoded = client.images.generate(prompt="a fox", model="gpt-image-2", size="1024x1024", quality="low")
assert base64.b64decode(encoded.data[0].b64_json)[:8] == b"\x89PNG\r\n\x1a\n"

extra = client.images.generate(prompt="a bay", model="ideogram-3", extra_body={"switchyard": {"seed": 7}})
assert extra.data[0].url

try:
    openai.OpenAI(base_url=f"{base}/api/image-gen/v1", api_key="sy_wrong").images.generate(prompt="x")
    raise SystemExit("a wrong key was accepted")
except openai.AuthenticationError as error:
    assert error.status_code == 401 and error.code == "invalid_api_key", error

try:
    client.images.generate(prompt="sim:unsafe x", model="ideogram/ideogram-3", extra_body={"switchyard": {"fallback": "none"}})
    raise SystemExit("an unsafe prompt was accepted")
except openai.BadRequestError as error:
    assert error.code == "moderation_blocked", error

try:
    client.images.generate(prompt="x", model="no-such-model")
    raise SystemExit("an unknown model was accepted")
except openai.UnprocessableEntityError as error:
    assert error.code == "no_route", error

try:
    client.images.generate(prompt="sim:reset-after once", model="gpt-image-2", extra_body={"switchyard": {"fallback": "none"}})
    raise SystemExit("a broken answer was a success")
except openai.InternalServerError as error:
    assert error.status_code == 502 and error.code == "outcome_unknown", error

# The provider is busy and says for how long; the package waits as it is told and sends it again, and pays once.
patient = client.images.generate(prompt="sim:429=5x1 a patient fox", model="ideogram/ideogram-3", extra_body={"switchyard": {"fallback": "none"}})
assert patient.data[0].url, patient

print("python ok", openai.__version__)
