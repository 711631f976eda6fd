import { UsagePublisher } from '@tollgate/client/publisher';

// While Tollgate is away, events wait in memory and then in the directory; the worker does not wait.
const publisher = new UsagePublisher({
  url: process.env.TOLLGATE_API ?? 'http://127.0.0.1:8081',
  token: process.env.TOLLGATE_SERVICE_TOKEN,
  source: 'transcription-worker',
  directory: 'events',
  onError: (error) => console.error(`${error.message}; the events are sent again`),
});

const tenant = process.env.TENANT ?? 'acme';
const jobs = Number(process.env.JOBS ?? 20);
for (let job = 1; job <= jobs; job += 1) {
  const minutes = await transcribe(job);
  // The id of the job makes a repeated job count once.
  publisher.publish({
    id: `job-${job}`,
    type: 'transcription.minutes',
    subject: tenant,
    data: { units: minutes, language: 'en' },
  });
}
await publisher.close();
console.log(publisher.stats());

async function transcribe(job) {
  await new Promise((resolve) => setTimeout(resolve, 10));
  return (job % 3) + 1;
}
