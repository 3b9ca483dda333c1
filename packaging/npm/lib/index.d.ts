/** A policy: a document, or the path of a file that contains one. */
export type Policy = object | string | URL;

export interface EmulatorOptions {
  /** Who may act as whom. Without a policy, every token has all permissions. */
  policy?: Policy;
  /** Whether `url` and credential files have `https`. Clients must then trust `caFile`. Default: false. */
  tls?: boolean;
}

/** One request in the journal: see the emulator's page. */
export interface JournalEntry {
  sequence: number;
  method: string;
  protocol: 'grpc' | 'rest';
  principal: string | null;
  request: { name: string; delegates: string[]; [field: string]: unknown };
  outcome: { code: string; reason: string | null; message: string | null; hop: number | null; fault: boolean } | null;
  [field: string]: unknown;
}

/** The emulator can't be started, or it refuses what it was asked. The text is the emulator's own. */
export class EmulatorError extends Error {}

/** An emulator of the API. It runs until `stop`, or until this process ends. */
export class Emulator {
  private constructor();
  /** The URL that clients call: `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** The host and the port: `127.0.0.1:PORT`. */
  readonly host: string;
  /** The path of the certificate that clients over TLS must trust, in PEM. */
  readonly caFile: string;
  /** Stops the emulator, and removes its files. */
  stop(): Promise<void>;
  /** Returns the variables that lead clients to the emulator: it is their metadata server, and no proxy is in between. */
  environment(): Record<string, string>;
  /** Writes a key file of a service account, and returns its path. */
  keyFile(account: string): Promise<string>;
  /** Writes the file of a user's login, as gcloud makes it, and returns its path. */
  loginFile(user: string): Promise<string>;
  /** Writes a credential file that impersonates `target`, and returns its path. `source` is the path of another one. */
  impersonatedFile(source: string, target: string, delegates?: string[]): Promise<string>;
  /** Returns the requests that arrived, the oldest first: all of them, or those of one method, such as `SignBlob`. */
  journal(method?: string): Promise<JournalEntry[]>;
  /** Makes requests fail, and returns the number of the fault: `{effect: 'status', code: 'UNAVAILABLE', times: 1}`. */
  injectFault(fault: object): Promise<number>;
  /** Ends all faults. */
  clearFaults(): Promise<void>;
  /** Moves the emulator's time forward, so that tokens expire. */
  advanceClock(seconds: number): Promise<void>;
  /** Puts another policy into force, or none. */
  setPolicy(policy: Policy | null): Promise<void>;
  /** Restores the state at the start: policy, clock, faults, journal and tokens. Keys stay. */
  reset(): Promise<void>;
}

/** Starts an emulator on a free port of this machine. Rejects with the emulator's own text if that fails. */
export function startEmulator(options?: EmulatorOptions): Promise<Emulator>;

/** Returns the path of the program `iamcreds`. Throws an error that says what to do if there is none. */
export function findProgram(): string;
