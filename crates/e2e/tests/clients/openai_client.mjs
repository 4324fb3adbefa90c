// The official OpenAI package for Node, unmodified: only base URL and key change.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const { BASE: base, KEY: key } = process.env;
const client = new OpenAI({ baseURL: `${base}/api/image-gen/v1`, apiKey: key });

const models = [];
for await (const model of client.models.list()) models.push(model.id);
assert.ok(models.includes('ideogram/ideogram-3'), models.join());

const picture = await client.images.generate({ prompt: 'a lighthouse', model: 'ideogram/ideogram-3', size: '1024x1024' });
assert.ok(picture.data[0].url.startsWith('http'));

const encoded = await client.images.generate({ prompt: 'a fox', model: 'gpt-image-2', size: '1024x1024', quality: 'low' });
assert.equal(Buffer.from(encoded.data[0].b64_json, 'base64').subarray(1, 4).toString(), 'PNG');

const wrong = new OpenAI({ baseURL: `${base}/api/image-gen/v1`, apiKey: 'sy_wrong' });
await assert.rejects(wrong.images.generate({ prompt: 'x' }), (error) => error instanceof OpenAI.AuthenticationError && error.code === 'invalid_api_key');
await assert.rejects(
  client.images.generate({ prompt: 'sim:unsafe x', model: 'ideogram/ideogram-3', switchyard: { fallback: 'none' } }),
  (error) => error instanceof OpenAI.BadRequestError && error.code === 'moderation_blocked',
);
await assert.rejects(client.images.generate({ prompt: 'x', model: 'no-such-model' }), (error) => error.status === 422 && error.code === 'no_route');
await assert.rejects(
  client.images.generate({ prompt: 'sim:reset-after twice', model: 'gpt-image-2', switchyard: { fallback: 'none' } }),
  (error) => error.status === 502 && error.code === 'outcome_unknown',
);
// The provider is busy and says for how long; the package waits as it is told and sends it again, and pays once.
const patient = await client.images.generate({ prompt: 'sim:429=5x1 a patient bear', model: 'ideogram/ideogram-3', switchyard: { fallback: 'none' } });
assert.ok(patient.data[0].url);
console.log('node ok');
