/** Say by a code why there is no source; the page has a sentence for each (`problem_…`). */
export class SourceError extends Error {
  /**
   * @param {"refused"|"absent"|"busy"|"insecure"|"lost"|"camera"|"file"} code
   * @param {Object<string, string>} [values] what its sentence mentions
   */
  constructor(code, values = {}) {
    super(values.reason ?? code);
    this.name = "SourceError";
    this.code = code;
    this.values = values;
  }
}
