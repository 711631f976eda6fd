/**
 * Money, exact: a whole number of 10⁻¹² of the currency of the policy's prices. Sums of it never round. It is a bigint, so
 * that it cannot be mixed with numbers by mistake.
 */
export type Money = bigint;

/** Decimals that are kept. ClickHouse's type is Decimal(38, 12). */
export const moneyDecimals = 12;

const unit = 10n ** BigInt(moneyDecimals);
const decimalShape = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/;

/** Reads a decimal such as `0.000075` or `7.5e-5`; what is finer than a decimal kept is rounded to the nearest. Null for other text. */
export function readMoney(text: string): Money | null {
  const [, sign = '', whole, fraction = '', exponent = '0'] = decimalShape.exec(text) ?? [];
  if (whole === undefined) return null;
  const digits = BigInt(whole + fraction);
  const power = Number(exponent) - fraction.length + moneyDecimals;
  const size = power >= 0 ? digits * 10n ** BigInt(power) : rounded(digits, 10n ** BigInt(-power));
  return sign === '-' ? -size : size;
}

/** The decimal as which JSON writes the number: of all decimals that read as this number the shortest. */
export function moneyOf(value: number): Money {
  const scaled = value * 1e12;
  // Below this the scaled number errs by less than half, so that rounding finds the decimal that was written.
  if (scaled < 1e15 && scaled >= 0) return BigInt(Math.round(scaled));
  return readMoney(String(value)) ?? 0n;
}

/** Money as an event states it: a number, or a decimal text. Null for other text. */
export function statedMoney(stated: number | string): Money | null {
  return typeof stated === 'number' ? moneyOf(stated) : readMoney(stated);
}

/** Without zeros at its end: `0.000075`, `12`, `-3.5`. */
export function moneyText(money: Money): string {
  const size = money < 0n ? -money : money;
  const fraction = (size % unit).toString().padStart(moneyDecimals, '0');
  let end = moneyDecimals;
  while (fraction[end - 1] === '0') end -= 1;
  return `${money < 0n ? '-' : ''}${size / unit}${end === 0 ? '' : `.${fraction.slice(0, end)}`}`;
}

/**
 * For `JSON.stringify`: a number with all its digits. Mostly a plain number; where a double cannot hold the digits (more
 * than 15 of them) a `JSON.rawJSON`, which only `JSON.stringify` understands.
 */
export function jsonMoney(money: Money): number {
  const text = moneyText(money);
  const number = Number(text);
  return moneyOf(number) === money ? number : (rawJson(text) as unknown as number);
}

/** The same for a row with a cost. */
export function withJsonCost<Row extends { readonly cost: Money }>(
  row: Row,
): Omit<Row, 'cost'> & { readonly cost: number } {
  return { ...row, cost: jsonMoney(row.cost) };
}

/** The nearest double: for graphs and for people, who do not read the sixteenth digit. */
export function approximateMoney(money: Money): number {
  return Number(moneyText(money));
}

/** Money per unit as a fraction of whole numbers, so that a cost is one multiplication and one division. */
export interface Price {
  readonly digits: number;
  /** A power of ten. */
  readonly divisor: number;
}

/** A number has so many decimal digits for certain. */
const priceDigitsMax = 15;

/** Kept to 12 decimals and to 15 digits: what is finer is rounded once, here, and every cost is a multiple of the result. */
export function priceOf(value: number): Price {
  const text = moneyText(moneyOf(Number(value.toPrecision(priceDigitsMax))));
  const decimals = text.length - 1 - (text + '.').indexOf('.');
  return { digits: Number(text.replace('.', '')), divisor: 10 ** Math.max(0, decimals) };
}

/** Of a route without a price, and of no route. */
export const noPrice: Price = { digits: 0, divisor: 1 };

/** Where a product of whole numbers and its quotient by a power of ten are exact in all digits that JSON writes. */
const exactProductMax = 10 ** priceDigitsMax;

/**
 * units × price, exact, as it stands in an event: a number, or a decimal text where a double cannot hold the digits.
 * Allocates nothing where it is an ordinary amount.
 */
export function costOf(units: number, { digits, divisor }: Price): number | string {
  const product = units * digits;
  if (product <= exactProductMax && Number.isInteger(units)) return product / divisor;
  const cost = rounded(moneyOf(units) * BigInt(digits), BigInt(divisor));
  const number = approximateMoney(cost);
  return moneyOf(number) === cost ? number : moneyText(cost);
}

/** To the nearest, halves up. Neither may be negative. */
function rounded(dividend: bigint, divisor: bigint): bigint {
  return (dividend * 2n + divisor) / (divisor * 2n);
}

function rawJson(text: string): object {
  return (JSON as unknown as { rawJSON(text: string): object }).rawJSON(text);
}
