export interface Sample {
  readonly language: string;
  readonly name: string;
  readonly code: string;
}

/** Complete functions that visitors can copy. A test runs the JavaScript sample against a real 429. */
export const samples: readonly Sample[] = [
  {
    language: 'js',
    name: 'JavaScript',
    code: `async function callApi(url, options = {}, attemptsMax = 5) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await fetch(url, options);
    const retryAfter = response.headers.get('retry-after');
    if (response.status !== 429 || retryAfter === null || attempt === attemptsMax) return response;
    await response.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, Number(retryAfter) * 1000));
  }
}`,
  },
  {
    language: 'python',
    name: 'Python',
    code: `import time
import requests

def call_api(method, url, attempts_max=5, **options):
    for attempt in range(1, attempts_max + 1):
        response = requests.request(method, url, timeout=30, **options)
        retry_after = response.headers.get("Retry-After")
        if response.status_code != 429 or retry_after is None or attempt == attempts_max:
            return response
        time.sleep(int(retry_after))`,
  },
  {
    language: 'go',
    name: 'Go',
    code: `func callAPI(ctx context.Context, newRequest func() (*http.Request, error)) (*http.Response, error) {
	for attempt := 1; ; attempt++ {
		request, err := newRequest()
		if err != nil {
			return nil, err
		}
		response, err := http.DefaultClient.Do(request.WithContext(ctx))
		if err != nil || response.StatusCode != http.StatusTooManyRequests || attempt == 5 {
			return response, err
		}
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil {
			return response, nil
		}
		response.Body.Close()
		select {
		case <-time.After(time.Duration(seconds) * time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}`,
  },
  {
    language: 'sh',
    name: 'Shell',
    code: `# curl waits as Retry-After says by itself:
curl --fail --retry 5 --header "X-Api-Key: $API_KEY" https://api.example.com/agent/chat`,
  },
];
