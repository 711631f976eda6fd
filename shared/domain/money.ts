/**
 * Exact amount of money: a whole number of 10⁻¹² of the currency of the policy's prices. Sums never round. The type is
 * bigint, so that money and numbers cannot be mixed.
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

/** The decimal that JSON writes for the number: the shortest of all decimals that read as this number. */
export function moneyOf(value: number): Money {
  const scaled = value * 1e12;
  // Below 1e15 the error of the product is less than one half, so rounding finds the decimal that was written.
  if (scaled < 1e15 && scaled >= 0) return BigInt(Math.round(scaled));
  return readMoney(String(value)) ?? 0n;
}

/** Reads money from an event: a number or a decimal text. Null for any other text. */
export function statedMoney(stated: number | string): Money | null {
  return typeof stated === 'number' ? moneyOf(stated) : readMoney(stated);
}

/** Decimal text without trailing zeros: `0.000075`, `12`, `-3.5`. */
export function moneyText(money: Money): string {
  const size = money < 0n ? -money : money;
  const fraction = (size % unit).toString().padStart(moneyDecimals, '0');
  let end = moneyDecimals;
  while (fraction[end - 1] === '0') end -= 1;
  return `${money < 0n ? '-' : ''}${size / unit}${end === 0 ? '' : `.${fraction.slice(0, end)}`}`;
}

/**
 * A value that `JSON.stringify` writes with all digits: usually a plain number; a `JSON.rawJSON` object if a double cannot
 * hold the digits (more than 15).
 */
export function jsonMoney(money: Money): number {
  const text = moneyText(money);
  const number = Number(text);
  return moneyOf(number) === money ? number : (rawJson(text) as unknown as number);
}

/** The row with its cost as `jsonMoney`. */
export function withJsonCost<Row extends { readonly cost: Money }>(
  row: Row,
): Omit<Row, 'cost'> & { readonly cost: number } {
  return { ...row, cost: jsonMoney(row.cost) };
}

/** The nearest double, for graphs and displays: its error is in the sixteenth digit. */
export function approximateMoney(money: Money): number {
  return Number(moneyText(money));
}

/** Money per unit as a fraction of whole numbers: a cost is then one multiplication and one division. */
export interface Price {
  readonly digits: number;
  /** A power of ten. */
  readonly divisor: number;
}

/** Every double holds this many decimal digits exactly. */
const priceDigitsMax = 15;

/** Rounds a price once to 12 decimal places and 15 digits. Every cost is a multiple of the result. */
export function priceOf(value: number): Price {
  const text = moneyText(moneyOf(Number(value.toPrecision(priceDigitsMax))));
  const decimals = text.length - 1 - (text + '.').indexOf('.');
  return { digits: Number(text.replace('.', '')), divisor: 10 ** Math.max(0, decimals) };
}

/** Price of a request without a route, or of a route without a price. */
export const noPrice: Price = { digits: 0, divisor: 1 };

/** Up to here a product of whole numbers and its quotient by a power of ten are exact in all digits that JSON writes. */
const exactProductMax = 10 ** priceDigitsMax;

/**
 * Exact product of units and price as events state it: a number, or a decimal text if a double cannot hold the digits.
 * Allocates nothing for ordinary amounts.
 */
export function costOf(units: number, { digits, divisor }: Price): number | string {
  const product = units * digits;
  if (product <= exactProductMax && Number.isInteger(units)) return product / divisor;
  const cost = rounded(moneyOf(units) * BigInt(digits), BigInt(divisor));
  const number = approximateMoney(cost);
  return moneyOf(number) === cost ? number : moneyText(cost);
}

/** Quotient rounded to the nearest, halves up. Neither argument may be negative. */
function rounded(dividend: bigint, divisor: bigint): bigint {
  return (dividend * 2n + divisor) / (divisor * 2n);
}

function rawJson(text: string): object {
  return (JSON as unknown as { rawJSON(text: string): object }).rawJSON(text);
}
