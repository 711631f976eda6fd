export interface Sample {
  readonly id: string;
  readonly language: string;
  readonly name: string;
  /** One sentence on what the code does. */
  readonly text: string;
  readonly code: string;
}

/**
 * Complete programs that visitors can copy. They read the address of the API and the credential from the environment
 * variables `API_URL` and `API_KEY`; the client of Tollgate reads `TOLLGATE_URL`. A test runs each of them against a
 * gateway whose limit they exceed. `path` is a path of the API, e.g. `/agent/chat`.
 */
export function samplesFor(path: string): readonly Sample[] {
  return [
    {
      id: 'fetch',
      language: 'js',
      name: 'JavaScript (fetch)',
      text: 'Waits as long as Retry-After says, then sends the same request again, at most five times.',
      code: `async function callApi(url, options = {}, attemptsMax = 5) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await fetch(url, options);
    const retryAfter = response.headers.get('retry-after');
    if (response.status !== 429 || retryAfter === null || attempt === attemptsMax) return response;
    await response.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, Number(retryAfter) * 1000));
  }
}

const response = await callApi(\`\${process.env.API_URL}${path}\`, {
  headers: { authorization: \`Bearer \${process.env.API_KEY}\` },
});
console.log(response.status, response.headers.get('ratelimit'));`,
    },
    {
      id: 'openai',
      language: 'js',
      name: 'OpenAI SDK',
      text: 'The SDK waits as Retry-After says by itself. A wait of more than a minute is reported at once.',
      code: `import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: \`\${process.env.API_URL}/v1\`,
  apiKey: process.env.API_KEY,
  maxRetries: 5,
});
try {
  const answer = await client.chat.completions.create({
    model: 'gpt-4o-mini',
    messages: [{ role: 'user', content: 'Hello' }],
  });
  console.log(200, answer.choices[0].message.content);
} catch (error) {
  if (!(error instanceof OpenAI.RateLimitError)) throw error;
  console.log(429, 'try again after', error.headers.get('retry-after'), 'seconds');
}`,
    },
    {
      id: 'python',
      language: 'python',
      name: 'Python',
      text: 'The same loop with the package requests.',
      code: `import os
import time
import requests

def call_api(method, url, attempts_max=5, **options):
    for attempt in range(1, attempts_max + 1):
        response = requests.request(method, url, timeout=30, **options)
        retry_after = response.headers.get("Retry-After")
        if response.status_code != 429 or retry_after is None or attempt == attempts_max:
            return response
        time.sleep(int(retry_after))

response = call_api(
    "GET",
    os.environ["API_URL"] + "${path}",
    headers={"Authorization": "Bearer " + os.environ["API_KEY"]},
)
print(response.status_code, response.headers.get("RateLimit"))`,
    },
    {
      id: 'curl',
      language: 'sh',
      name: 'curl',
      text: 'curl waits as Retry-After says by itself.',
      code: `curl --fail --silent --show-error --retry 5 --output /dev/null --write-out '%{http_code}\\n' \\
  --header "Authorization: Bearer $API_KEY" "$API_URL${path}"`,
    },
    {
      id: 'client',
      language: 'js',
      name: '@tollgate/client',
      text: 'Reads what is left before a large job. Your provider names the address of its Tollgate API.',
      code: `import { TollgateClient } from '@tollgate/client';

const client = new TollgateClient({
  url: process.env.TOLLGATE_URL,
  token: process.env.API_KEY,
  onFailure: 'open',
});
const { limits } = await client.usage();
for (const { name, remaining, limit, reset } of limits)
  console.log(\`\${name}: \${remaining} of \${limit} left, complete again at \${new Date(reset * 1000).toISOString()}\`);`,
    },
  ];
}
