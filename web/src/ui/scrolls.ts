// scrolls lets the keyboard reach something that scrolls and has nothing in it
// that takes the focus.
export function scrolls(element: HTMLElement): void {
  element.tabIndex = 0;
}
