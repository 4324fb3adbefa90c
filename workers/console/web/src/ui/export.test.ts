import { expect, it } from "vitest";
import { csv, json } from "./export";

interface Row {
  name: string | null;
  count: number;
}
const columns = [
  { id: "name", value: (row: Row) => row.name },
  { id: "count", value: (row: Row) => row.count },
];

it("quotes by RFC 4180", () => {
  const rows = [
    { name: 'say "hi", twice', count: 1 },
    { name: "two\nlines", count: -2 },
    { name: null, count: 0 },
  ];
  expect(csv(columns, rows)).toBe('name,count\r\n"say ""hi"", twice",1\r\n"two\nlines",-2\r\n,0\r\n');
});

it.each(["=1+1", "+1", "-cmd", "@SUM(A1)", "\t=1"])("takes the formula out of %j", (name) => {
  expect(csv(columns, [{ name, count: 1 }])).toContain(`'${name}`);
});

it("writes JSON with the columns' names", () => {
  expect(JSON.parse(json(columns, [{ name: null, count: 3 }]))).toEqual([{ name: null, count: 3 }]);
});
