/** Something done again and again until it is stopped; that it fails now and then is what some faults are about. */
export interface Doing {
  stop(): Promise<void>;
}

const underWayMax = 50;

/** Starts it `perSecond` times a second, whether or not earlier ones have ended. */
export function keepDoing(perSecond: number, work: () => Promise<unknown>): Doing {
  const underWay = new Set<Promise<void>>();
  const timer = setInterval(() => {
    if (underWay.size >= underWayMax) return;
    const one = work().then(
      () => undefined,
      () => undefined,
    );
    underWay.add(one);
    void one.then(() => underWay.delete(one));
  }, 1000 / perSecond);
  return {
    stop: async () => {
      clearInterval(timer);
      await Promise.all(underWay);
    },
  };
}
