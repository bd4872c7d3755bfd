export interface Gate { open: boolean }
