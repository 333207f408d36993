const hour = 3600;
const day = 24 * hour;

// How long an invitation may last, in seconds.
export const spans = [
  { seconds: 600, title: '10 minutes' },
  { seconds: hour, title: '1 hour' },
  { seconds: 8 * hour, title: '8 hours' },
  { seconds: day, title: '1 day' },
  { seconds: 7 * day, title: '1 week' },
  { seconds: 30 * day, title: '30 days' },
] as const;

export const presets = [
  { title: 'One computer', text: 'One use, valid for a day', expires: day, uses: 1 },
  { title: 'A class', text: '40 uses, valid for 8 hours', expires: 8 * hour, uses: 40 },
] as const;
