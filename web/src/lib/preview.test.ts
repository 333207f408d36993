import { expect, test } from 'vitest';
import { asDataURL, imageType, pictureType, Turns } from './preview';

const bytes = (s: string, more = 32) =>
  new Uint8Array([...s].map(c => c.charCodeAt(0)).concat(Array(more).fill(0)));

// png of so many pixels, as far as its head goes.
function png(width: number, height: number): Uint8Array {
  const b = bytes('\x89PNG\r\n\x1a\n\0\0\0\rIHDR');
  new DataView(b.buffer).setUint32(16, width);
  new DataView(b.buffer).setUint32(20, height);
  return b;
}

// jpeg with a segment before that of the frame.
function jpeg(width: number, height: number): Uint8Array {
  const b = bytes('\xff\xd8\xff\xe0\0\x04ab\xff\xc2\0\x11\x08');
  new DataView(b.buffer).setUint16(13, height);
  new DataView(b.buffer).setUint16(15, width);
  return b;
}

test('a picture is known by its first bytes', () => {
  expect(pictureType(png(100, 50))).toBe('image/png');
  expect(pictureType(jpeg(100, 50))).toBe('image/jpeg');
  expect(pictureType(bytes('GIF89a\x10\0\x10\0'))).toBe('image/gif');
  expect(pictureType(bytes('RIFF\0\0\0\0WEBPVP8 '))).toBe('image/webp');
  expect(pictureType(bytes('\0\0\0\x1cftypavif'))).toBe('image/avif');
});

test('what is active, or no picture, or cut short, is none, whatever its name says', () => {
  for (const s of [
    '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    '<?xml version="1.0"?><svg/>',
    '<!DOCTYPE html><script>alert(1)</script>',
    '%PDF-1.7',
    'RIFF\0\0\0\0WAVE',
    '\0\0\0\x1cftypmp42',
    'GIF88a',
    '\x89PN',
    '',
  ])
    expect(pictureType(bytes(s, 0)), s).toBe('');
  expect(imageType('drawing.svg')).toBe('');
  expect(imageType('page.html')).toBe('');
});

test('a small file that claims to be a huge picture is not shown', () => {
  expect(pictureType(png(60_000, 60_000))).toBe('');
  expect(pictureType(jpeg(60_000, 60_000))).toBe('');
  expect(pictureType(bytes('GIF89a\xff\xff\xff\xff'))).toBe('');
  // The segments of a JPEG that lead nowhere end.
  expect(pictureType(bytes('\xff\xd8\xff\xe0\0\0'))).toBe('image/jpeg');
});

test('the address of a picture has the type that is given', async () => {
  expect(await asDataURL('abc', 'image/png')).toBe('data:image/png;base64,YWJj');
});

test('turns: so many at once, and the next one also after a failure', async () => {
  const turns = new Turns(2);
  let [now, most] = [0, 0];
  const task = async (i: number) => {
    most = Math.max(most, ++now);
    await Promise.resolve();
    now--;
    if (i % 2) throw new Error('no');
    return i;
  };
  const all = await Promise.allSettled([0, 1, 2, 3, 4, 5].map(i => turns.run(() => task(i))));
  expect(all.filter(r => r.status === 'fulfilled').length).toBe(3);
  expect([now, most]).toEqual([0, 2]);
});
