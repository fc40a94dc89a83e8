// Line icons on a grid of 24, drawn for this page. They say nothing by themselves: whoever shows one names it.
const PATHS = {
  menu: "M4 7h16M4 12h10M4 17h16",
  plus: "M12 5v14M5 12h14",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7.5 7.5h9v9h-9z",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  gear: "M5 8h7M16 8h3M5 16h3M12 16h7M14 6v4M10 14v4",
  search: "M11 17a6 6 0 1 0 0-12 6 6 0 0 0 0 12M20 20l-4.5-4.5",
  copy: "M9 9h10v10H9zM5 15V5h10",
  check: "M5 12.5 10 17l9-10",
  pencil: "M5 19l1-4L16 5l3 3L9 18zM14 7l3 3",
  again: "M19 12a7 7 0 1 1-2-5M19 4v4h-4",
  left: "M14 6l-6 6 6 6",
  right: "M10 6l6 6-6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  chevron: "M7 10l5 5 5-5",
  close: "M6 6l12 12M18 6L6 18",
  bin: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12",
  picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9h.01",
  bulb: "M9 18h6M10 21h4M8.5 14.5a5.5 5.5 0 1 1 7 0c-.7.6-1 1.2-1 2h-5c0-.8-.3-1.4-1-2",
  save: "M12 4v11M7 11l5 5 5-5M5 20h14",
  open: "M12 16V5M7 9l5-5 5 5M5 20h14",
  phone: "M8 3h8v18H8zM11 18h2",
  server: "M5 5h14v6H5zM5 13h14v6H5zM8 8h.01M8 16h.01",
  plane: "M4 13l16-8-6 15-3-6z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** A button that is an icon; `label` is what it is called, and its tooltip. */
export function IconButton(props: {
  icon: IconName;
  label: string;
  onClick: (event: MouseEvent) => void;
  kind?: string;
  disabled?: boolean;
  pressed?: boolean;
  expanded?: boolean;
}) {
  const { icon, label, onClick, kind = "", disabled = false, pressed, expanded } = props;
  return (
    <button
      type="button"
      class={`icon-button ${kind}`}
      aria-label={label}
      title={label}
      disabled={disabled}
      aria-pressed={pressed}
      aria-expanded={expanded}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
