import type { ApiError } from "../../api/errors";
import { buttonClass, ErrorState, Icon, Skeleton } from "../../ui";
import { type Caller, usePicture } from "./queries";

export interface PictureProps {
  caller: Caller;
  instanceId: string | undefined;
  r2Path: string;
  dimensions: string;
  alt: string;
}

/** A stored picture in its own shape; a click opens it in full size. */
export function Picture({ caller, instanceId, r2Path, dimensions, alt }: PictureProps) {
  const picture = usePicture(caller, instanceId, r2Path);
  const [width = 1, height = 1] = dimensions.split("x").map(Number);
  if (picture.error !== null) return <ErrorState compact error={explained(picture.error)} onRetry={picture.retry} />;
  if (picture.src === undefined) {
    return (
      <div role="status" aria-label="Loading the picture">
        <Skeleton className="aspect-square max-h-128 w-full" />
      </div>
    );
  }
  return (
    <figure className="flex min-w-0 flex-col items-center gap-2">
      <a href={picture.src} target="_blank" rel="noreferrer" className="block max-w-full rounded-md border border-line bg-sunken">
        <img
          src={picture.src}
          alt={alt}
          width={width}
          height={height}
          onError={picture.onBroken}
          className="block h-auto max-h-[34rem] w-auto max-w-full rounded-md object-contain"
        />
      </a>
      <figcaption className="flex flex-wrap items-center justify-center gap-2 text-sm text-muted">
        <span>{dimensions}, click for full size</span>
        <a href={picture.src} download={fileName(r2Path)} className={buttonClass("ghost", "sm")}>
          <Icon name="download" size={14} />
          Download
        </a>
      </figcaption>
    </figure>
  );
}

function fileName(r2Path: string): string {
  return r2Path.slice(r2Path.lastIndexOf("/") + 1);
}

/** What a missing picture means here. */
function explained(error: ApiError): ApiError | { status: number; code: string; message: string; hint: string; requestId: string } {
  if (error.status !== 404) return error;
  const { status, code, requestId } = error;
  return { status, code, requestId, message: "The picture is not there any more.", hint: "It was deleted, or its time was over. Generate it again." };
}
