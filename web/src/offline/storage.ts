// How much of the device the page takes, and whether the browser may take it back.

export interface Storage {
  used: number;
  quota: number;
  /** false: the browser may remove everything when the device runs short. */
  lasting: boolean;
}

export async function storage(): Promise<Storage | null> {
  if (!("storage" in navigator) || !navigator.storage.estimate) return null;
  const { usage = 0, quota = 0 } = await navigator.storage.estimate();
  return { used: usage, quota, lasting: await navigator.storage.persisted() };
}

export function askToLast(): Promise<boolean> {
  return navigator.storage.persist();
}
