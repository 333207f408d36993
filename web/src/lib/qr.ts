import { encode } from 'uqr';

// qr draws text as one SVG path of unit squares, with the quiet zone of four
// that scanners need, and says how many units its square has. With ecc L a long
// text has larger units, and may lose fewer of them.
export function qr(text: string, ecc: 'L' | 'M' = 'M'): { size: number; path: string } {
  const { data, size } = encode(text, { ecc, border: 4 });
  let path = '';
  data.forEach((row, y) => {
    for (let x = 0; x < row.length;) {
      let end = x;
      while (row[end]) end++;
      if (end > x) path += `M${x} ${y}h${end - x}v1h${x - end}z`;
      x = end + 1;
    }
  });
  return { size, path };
}
