/** Tell what is wrong in one line, with a `code` that a program can act on. */
export class SiteError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "SiteError";
    this.code = code;
  }
}
