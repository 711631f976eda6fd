/**
 * Exact amount of money: a whole number of 10⁻¹² of the currency of the policy's prices. Sums are never rounded. The
 * type is bigint, so that the compiler rejects arithmetic that mixes money and numbers.
 */
export type Money = bigint;

/** Decimal places. The column type in ClickHouse is Decimal(38, 12). */
export const moneyDecimals = 12;

const unit = 10n ** BigInt(moneyDecimals);
const decimalShape = /^([+-]?)(\d+)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/;

/** Reads a decimal such as `0.000075` or `7.5e-5`, rounded to the nearest 10⁻¹². Null for any other text. */
export function readMoney(text: string): Money | null {
  const [, sign = '', whole, fraction = '', exponent = '0'] = decimalShape.exec(text) ?? [];
  if (whole === undefined) return null;
  const digits = BigInt(whole + fraction);
  const power = Number(exponent) - fraction.length + moneyDecimals;
  const size = power >= 0 ? digits * 10n ** BigInt(power) : rounded(digits, 10n ** BigInt(-power));
  return sign === '-' ? -size : size;
}

/** The decimal that JSON writes for the number: the shortest decimal that is parsed to this number. */
export function moneyOf(value: number): Money {
  const scaled = value * 1e12;
  // Below 1e15 the error of the product is less than one half, so rounding restores the decimal that the text
  // contained.
  if (scaled < 1e15 && scaled >= 0) return BigInt(Math.round(scaled));
  return readMoney(String(value)) ?? 0n;
}

/** Reads an event's amount of money: a number or a decimal text. Null for any other value. */
export function statedMoney(stated: number | string): Money | null {
  return typeof stated === 'number' ? moneyOf(stated) : readMoney(stated);
}

/** Formats money as a decimal without trailing zeros: `0.000075`, `12`, `-3.5`. */
export function moneyText(money: Money): string {
  const size = money < 0n ? -money : money;
  const fraction = (size % unit).toString().padStart(moneyDecimals, '0');
  let end = moneyDecimals;
  while (fraction[end - 1] === '0') end -= 1;
  return `${money < 0n ? '-' : ''}${size / unit}${end === 0 ? '' : `.${fraction.slice(0, end)}`}`;
}

/**
 * Money as a value that `JSON.stringify` writes with all digits: a number if a double can hold the digits (at most
 * 15), otherwise a `JSON.rawJSON` object.
 */
export function jsonMoney(money: Money): number {
  const text = moneyText(money);
  const number = Number(text);
  return moneyOf(number) === money ? number : (rawJson(text) as unknown as number);
}

/** The row, with its cost converted by `jsonMoney`. */
export function withJsonCost<Row extends { readonly cost: Money }>(
  row: Row,
): Omit<Row, 'cost'> & { readonly cost: number } {
  return { ...row, cost: jsonMoney(row.cost) };
}

/** Amounts by name, each converted by `jsonMoney`. */
export function jsonAmounts(amounts: Readonly<Record<string, Money>>): Record<string, number> {
  return Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, jsonMoney(amount)]));
}

/** The nearest double, for graphs and displays. It differs from the exact amount from the 16th digit on. */
export function approximateMoney(money: Money): number {
  return Number(moneyText(money));
}

/**
 * Price of a unit as a fraction of whole numbers, so that computing a cost takes one multiplication and one division.
 */
export interface Price {
  readonly digits: number;
  /** A power of ten. */
  readonly divisor: number;
}

/** A double holds every decimal with this number of digits exactly. */
const priceDigitsMax = 15;

/** Rounds a price to 12 decimal places and 15 digits. All costs are computed from the rounded price. */
export function priceOf(value: number): Price {
  const text = moneyText(moneyOf(Number(value.toPrecision(priceDigitsMax))));
  const decimals = text.length - 1 - (text + '.').indexOf('.');
  return { digits: Number(text.replace('.', '')), divisor: 10 ** Math.max(0, decimals) };
}

/** Price of a request that matches no route, or a route without a price: 0. */
export const noPrice: Price = { digits: 0, divisor: 1 };

/**
 * Products of whole numbers up to this value, divided by a power of ten, are exact in all digits that JSON writes.
 */
const exactProductMax = 10 ** priceDigitsMax;

/**
 * Exact product of units and price, in the form of an event's cost: a number, or a decimal text if a double cannot
 * hold the digits. Allocates no memory for ordinary amounts.
 */
export function costOf(units: number, { digits, divisor }: Price): number | string {
  const product = units * digits;
  if (product <= exactProductMax && Number.isInteger(units)) return product / divisor;
  return eventCost(rounded(moneyOf(units) * BigInt(digits), BigInt(divisor)));
}

/** Sum of a stated cost (a number or a decimal text) and an amount of money, in the form of an event's cost. */
export function addedCost(stated: number | string, money: Money): number | string {
  return eventCost((statedMoney(stated) ?? 0n) + money);
}

/** Money in the form of an event's cost: a number, or a decimal text if a double cannot hold the digits. */
function eventCost(cost: Money): number | string {
  const number = approximateMoney(cost);
  return moneyOf(number) === cost ? number : moneyText(cost);
}

/** Quotient rounded to the nearest whole number, halves rounded up. Both arguments must be 0 or more. */
function rounded(dividend: bigint, divisor: bigint): bigint {
  return (dividend * 2n + divisor) / (divisor * 2n);
}

function rawJson(text: string): object {
  return (JSON as unknown as { rawJSON(text: string): object }).rawJSON(text);
}
