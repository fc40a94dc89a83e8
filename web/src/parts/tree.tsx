// The sign of penjing: a small tree in a pot.
export function Tree() {
  return (
    <svg class="tree" viewBox="0 0 64 64" aria-hidden="true">
      <path class="tree-trunk" d="M31 50c1-6-4-9-2-15s8-6 6-13" />
      <path class="tree-trunk" d="M30 36c-4-1-8 0-11-4M34 29c4 0 7-2 9-5" />
      <path class="tree-leaf" d="M26 20c-1-6 4-10 10-9s9 6 6 10c-4 4-15 4-16-1z" />
      <path class="tree-leaf" d="M40 25c1-4 6-6 10-4s4 7 0 8-11 0-10-4z" />
      <path class="tree-leaf" d="M10 31c0-4 5-7 10-5s5 7 1 8-11 1-11-3z" />
      <path class="tree-pot" d="M16 50h32l-3 8H19z" />
    </svg>
  );
}
